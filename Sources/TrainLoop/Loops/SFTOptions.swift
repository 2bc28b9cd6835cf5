import OrderedJSON

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

/// Options of the SFT warm-up, with the defaults of `ckpt train-sft`.
public struct SFTOptions: Sendable {
    /// Updates in all; nil: as many as `epochs` passes over the data take.
    public var steps: Int?
    public var epochs = 1.0
    /// Pairs in one update; each brings both of its halves.
    public var pairsPerStep = 16
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
    public var seed: UInt64 = 0
    /// Steps between saved states; nil: only the last.
    public var saveEvery: Int?
    public var keepLast = 1
    public var probeCount = 64

    public init() {}

    /// The resolved options as a checkpoint records them.
    public func json(totalSteps: Int) -> JSON {
        [
            "steps": .integer(totalSteps), "pairs_per_step": .integer(pairsPerStep),
            "micro_batch_tokens": .integer(microBatchTokens), "max_length": .integer(maximumLength),
            "overlong": .string(overlong.rawValue), "loss_reduction": .string(reduction.rawValue),
            "lr": .double(learningRate), "control_lr_scale": .double(controlLearningRateScale),
            "schedule": .string(schedule.rawValue), "final_lr_share": .double(finalLearningRateShare),
            "warmup_steps": .integer(resolvedWarmup(totalSteps)), "beta1": .double(beta1), "beta2": .double(beta2),
            "epsilon": .double(epsilon), "weight_decay": .double(weightDecay), "clip_norm": .double(clipNorm),
            "freeze": .array(freeze.map { .string($0) }),
            "seed": .string(String(seed)), "save_every": .integer(saveEvery ?? totalSteps),
            "keep_last": .integer(keepLast), "probe_count": .integer(probeCount),
        ]
    }

    /// 5 % of the steps unless told.
    func resolvedWarmup(_ totalSteps: Int) -> Int { warmupSteps ?? (totalSteps + 19) / 20 }
}
