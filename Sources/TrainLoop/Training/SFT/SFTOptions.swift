import CheckpointIO
import OrderedJSON
import Transformer

/// What the loss of a batch is divided by.
public enum LossReduction: String, Sendable, CaseIterable {
    /// By all response tokens of the batch: long answers weigh more (as the method's released code does).
    case token
    /// By each response's own tokens, then by the responses.
    case sequence
}

/// What becomes of a sample that is longer than `maximumLength`.
public enum OverlongPolicy: String, Sendable, CaseIterable {
    /// Its whole pair is left out, and counted.
    case drop
    /// The end is cut off, the end token with it (as the authors did).
    case clip
}

/// The order in which pairs are met.
public enum PairOrder: String, Sendable, CaseIterable {
    /// Shuffled anew in every epoch.
    case shuffled
    /// As they stand in the file.
    case file
}

/// What of the model a warm-up changes.
public enum TrainRows: String, Sendable, CaseIterable {
    case all
    /// Only the rows of the control tokens in embedding and head.
    case control
}

/// Options of the SFT warm-up, with the defaults of `ckpt train-sft`.
public struct SFTOptions: TrainingOptions, Sendable, Equatable {
    /// Updates in all; nil: as many as `epochs` passes over the data take.
    public var steps: Int?
    public var epochs = 1.0
    /// Pairs in one update; each brings both of its halves.
    public var pairsPerStep = 16
    /// Tokens of prompts and responses in one update, in place of a number of pairs: pairs are taken as long as they
    /// fit, one at least.
    public var tokensPerStep: Int?
    /// Tokens in one forward and backward pass; changes memory and speed, never the result beyond rounding.
    public var microBatchTokens = 4096
    /// Tokens of prompt and response together.
    public var maximumLength = 2048
    public var overlong = OverlongPolicy.drop
    public var reduction = LossReduction.token
    public var learningRate = 1e-4
    /// Factor on the learning rate for the rows of the control tokens in embedding and head.
    public var controlLearningRateScale = 10.0
    public var schedule = LearningRateSchedule.Shape.cosine
    /// Where the schedule ends, as a share of the peak.
    public var finalLearningRateShare = 0.1
    public var warmupSteps: Int?
    public var beta1 = 0.9
    public var beta2 = 0.95
    public var epsilon = 1e-8
    public var weightDecay = 0.1
    public var clipNorm = 1.0
    /// Patterns of parameters that are not trained.
    public var freeze: [String] = []
    public var products = ProductPrecision.fp32
    public var trainRows = TrainRows.all
    public var order = PairOrder.shuffled
    public var seed: UInt64 = 0
    /// Steps between saved states; nil: only the last.
    public var saveEvery: Int?
    public var keepLast = 1
    public var probeCount = 64
    /// Steps between measurements of the probe, beside those at saves and evaluations.
    public var probeEvery: Int?
    /// Steps between evaluations on held-out pairs; nil: only at the end.
    public var evaluateEvery: Int?
    /// Held-out problems that are sampled with both modes forced; 0: none.
    public var evaluationProblems = 16
    /// Tokens of such a sample at most.
    public var evaluationTokens = 256
    /// Where the answer of such a sample stands.
    public var answerRule = AnswerRule.any

    public init() {}

    /// The resolved options as a checkpoint records them.
    public func json(totalSteps: Int) -> JSON {
        var resolved = self
        resolved.steps = totalSteps
        resolved.warmupSteps = resolvedWarmup(totalSteps)
        resolved.saveEvery = saveEvery ?? totalSteps
        return resolved.recorded
    }

    /// The options of the run that saved `file`.
    ///
    /// - Throws: where the file has no training state, or one without these options.
    public init(storedIn file: CheckpointFile) throws { try self.init(recordedIn: file) }

    /// - Throws: `OptionError` where a flag of a resumed run asks for something else than these options.
    public func refuse(differing wanted: SFTOptions) throws { try refuseDifferences(in: wanted) }

    /// 5 % of the steps unless told.
    func resolvedWarmup(_ totalSteps: Int) -> Int { warmupSteps ?? (totalSteps + 19) / 20 }
}

extension SFTOptions: RecordedOptions {
    static let fields: [OptionField<SFTOptions>] = [
        .optionalInt("steps", "--steps", \.steps), .double("epochs", "--epochs", \.epochs).sinceLater,
        .int("pairs_per_step", "--batch-pairs", \.pairsPerStep),
        .int("micro_batch_tokens", "--micro-batch-tokens", \.microBatchTokens),
        .int("max_length", "--max-length", \.maximumLength), .choice("overlong", "--overlong", \.overlong),
        .choice("loss_reduction", "--loss-reduction", \.reduction), .double("lr", "--lr", \.learningRate),
        .double("control_lr_scale", "--control-lr-scale", \.controlLearningRateScale),
        .choice("schedule", "--schedule", \.schedule),
        .double("final_lr_share", "--final-lr-share", \.finalLearningRateShare),
        .optionalInt("warmup_steps", "--warmup", \.warmupSteps), .double("beta1", "--beta1", \.beta1),
        .double("beta2", "--beta2", \.beta2), .double("epsilon", "--adam-epsilon", \.epsilon),
        .double("weight_decay", "--weight-decay", \.weightDecay), .double("clip_norm", "--clip-norm", \.clipNorm),
        .texts("freeze", "--freeze", \.freeze), .seed("seed", "--seed", \.seed),
        .optionalInt("save_every", "--save-every", \.saveEvery), .int("keep_last", "--keep-last", \.keepLast),
        .int("probe_count", "--probe", \.probeCount),
        .optionalInt("tokens_per_step", "--batch-tokens", \.tokensPerStep).sinceLater,
        .choice("train_rows", "--train-rows", \.trainRows).sinceLater,
        .choice("order", "--order", \.order).sinceLater,
        .optionalInt("probe_every", "--probe-every", \.probeEvery).sinceLater,
        .optionalInt("eval_every", "--eval-every", \.evaluateEvery).sinceLater,
        .int("eval_problems", "--eval-problems", \.evaluationProblems).sinceLater,
        .int("eval_max_new_tokens", "--eval-max-new-tokens", \.evaluationTokens).sinceLater,
        .choice("answer_rule", "--answer", \.answerRule).sinceLater,
        .choice("products", "--products", \.products).sinceLater,
    ]

    /// - Throws: `OptionError` naming the flag.
    public func check() throws {
        let require = OptionError.require
        try checkTraining()
        for (flag, value, least) in [
            ("--steps", steps ?? 1, 1), ("--batch-pairs", pairsPerStep, 1),
            ("--max-length", maximumLength, 8), ("--save-every", saveEvery ?? 1, 1),
            ("--batch-tokens", tokensPerStep ?? 1, 1), ("--eval-every", evaluateEvery ?? 1, 1),
            ("--probe-every", probeEvery ?? 1, 1),
            ("--eval-problems", evaluationProblems, 0), ("--eval-max-new-tokens", evaluationTokens, 1),
        ] {
            try require(value >= least, "\(flag) must be at least \(least)")
            try require(value <= 1 << 40, "\(flag) must be at most \(1 << 40)")
        }
        try require(warmupSteps ?? 0 >= 0 && warmupSteps ?? 0 <= 1 << 40, "--warmup must not be negative")
        try require((0...1 << 20).contains(probeCount), "the number of probe prompts must not be negative")
        try require(epochs > 0 && epochs.isFinite, "--epochs must be above 0")
        try require(
            controlLearningRateScale >= 0 && controlLearningRateScale.isFinite,
            "--control-lr-scale must not be negative")
    }
}
