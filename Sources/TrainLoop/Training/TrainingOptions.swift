import CheckpointIO
import OrderedJSON
import Ranks
import Transformer

/// The options of a training stage; both stages have an optimizer and a run, with different defaults.
package protocol TrainingOptions: RecordedOptions, Sendable, Equatable {
    associatedtype Run: RunOptions
    var optimizer: OptimizerOptions { get set }
    var run: Run { get set }
}

/// The options of a run that both stages have.
package protocol RunOptions: Sendable, Equatable {
    /// The updates of the run; nil if they follow from the data.
    var lastStep: Int? { get }
    var seed: UInt64 { get set }
    /// The number of newest states that keep the optimizer's moments and the training state.
    var keepLast: Int { get set }
    var savedContent: SavedContent { get set }
}

/// The rows of embedding and head, and with them the part of the model, that a run trains.
package enum TrainRows: String, Sendable, CaseIterable {
    case all
    /// Only the rows of the control tokens in embedding and head.
    case control
}

/// How an update is made from a gradient, and how the gradient is computed.
package struct OptimizerOptions: Sendable, Equatable {
    /// The learning rate at the end of the warm-up.
    package var learningRate: Double
    /// The shape of the schedule after the warm-up.
    package var schedule: LearningRateSchedule.Shape
    /// The learning rate at the end of the schedule, as a share of the peak.
    package var finalLearningRateShare: Double
    /// The step at which the schedule ends; nil: the last step of the run.
    package var scheduleSteps: Int?
    /// Updates of linear warm-up; nil: 5 % of the schedule's steps.
    package var warmupSteps: Int?
    package var beta1 = 0.9
    package var beta2: Double
    package var epsilon = 1e-8
    package var weightDecay: Double
    /// The number format of AdamW's moments.
    package var moments = MomentPrecision.fp32
    /// The number format of weights and gradients.
    package var weights = WeightPrecision.fp32
    /// The gradient norm above which gradients are scaled down; 0: never.
    package var clipNorm = 1.0
    /// Patterns of the names of parameters that are not trained.
    package var freeze: [String] = []
    package var trainRows = TrainRows.all
    /// Tokens in one forward and backward pass; affects memory and speed, and results only by rounding.
    package var microBatchTokens = 4096
    /// The adapters that are trained; nil: the model itself is.
    package var adapters: AdapterOptions?
    /// Whether the backward pass computes activations again; affects memory and speed only.
    package var recomputation = Recomputation.auto
    /// The number format of what is kept where activations are recomputed.
    package var activations = ActivationPrecision.fp32
    /// The number format of the factors of matrix products; the mode probe always uses float32.
    package var products = ProductPrecision.fp32

    /// The slices of an update, whose gradients are added in a tree; nil: one.
    package var slices: Int?
    /// Whether each rank holds the moments of a part of the parameters only; affects memory and speed only.
    package var shardsMoments = false

    /// Gives a new run of several ranks its slices, if they were not chosen.
    mutating func chooseSlices(resuming: Bool, _ ranks: RankGroup) {
        if !resuming, slices == nil { slices = UpdateSlices.standard(ranks) }
    }

    func resolvedWarmup(_ totalSteps: Int) -> Int { warmupSteps ?? ((scheduleSteps ?? totalSteps) + 19) / 20 }

    func rateSchedule(totalSteps: Int) -> LearningRateSchedule {
        LearningRateSchedule(
            shape: schedule, peak: learningRate, warmUpSteps: resolvedWarmup(totalSteps),
            totalSteps: scheduleSteps ?? totalSteps, floorRatio: finalLearningRateShare)
    }

    /// An optimizer with moments of zero; `seed` is that of the run.
    func makeOptimizer(
        for configuration: ModelConfiguration, _ trained: TrainedLayout, seed: UInt64, shard: OptimizerShard?
    ) -> AdamW {
        AdamW(
            configuration, trained, beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay,
            moments: moments, seed: seed, shard: shard)
    }
}

extension RunOptions {
    /// The bytes on disk of a run with this number of saved states, before compression.
    ///
    /// Every state has weights, the newest also moments.
    func diskBytes(ofStates states: Int, weightBytes: Int, momentBytes: Int) -> Int {
        let full = min(keepLast, states)
        return Int(saturating: Double(weightBytes) * Double(states) + Double(momentBytes) * Double(full))
    }
}

extension TrainingOptions {
    /// Checks that a run which was started with these options may go on with others.
    ///
    /// Only the number of steps may change, and with it the end of the schedule, and what has no effect on results.
    ///
    /// - Throws: `OptionError`.
    package func checkResuming(with wanted: Self, after step: Int) throws {
        let changesLength = wanted.run.lastStep != run.lastStep
        let length: Set = changesLength ? ["--steps", "--schedule-steps"] : []
        try refuse(differing: wanted, except: length.union(["--recompute", "--shard-optimizer"]))
        guard changesLength, let last = wanted.run.lastStep else { return }
        try OptionError.require(
            last > step,
            "--steps \(last) does not extend the run, which has made \(counted(step, "step")); give a larger number, or "
                + "leave the flag out")
    }

    /// How a resumed run differs in length from the run whose last step was `last`; nil if it does not.
    func extensionNote(from last: Int) -> String? {
        guard let wanted = run.lastStep, wanted != last else { return nil }
        let start = "the run now ends at step \(wanted) instead of \(last); the learning rate "
        if optimizer.schedule == .constant { return start + "is constant after its warm-up" }
        if let end = optimizer.scheduleSteps { return start + "keeps its schedule, which ends at step \(end)" }
        return start + "follows a schedule that ends there (--schedule-steps \(last) keeps the old end)"
    }
}

/// The table entries that both stages have.
extension OptionField where Options: TrainingOptions {
    static var learningRate: Self { .double("lr", "--lr", \.optimizer.learningRate, .positive) }
    static var schedule: Self { .choice("schedule", "--schedule", \.optimizer.schedule) }
    static var finalLearningRateShare: Self {
        .double("final_lr_share", "--final-lr-share", \.optimizer.finalLearningRateShare, .share)
    }
    static var scheduleSteps: Self {
        .optionalInt("schedule_steps", "--schedule-steps", \.optimizer.scheduleSteps, 1...1 << 40).recordedIfSet
    }
    static var warmup: Self { .optionalInt("warmup_steps", "--warmup", \.optimizer.warmupSteps, 0...1 << 40) }
    static var beta1: Self { .double("beta1", "--beta1", \.optimizer.beta1, .belowOne) }
    static var beta2: Self { .double("beta2", "--beta2", \.optimizer.beta2, .belowOne) }
    /// AdamW's ε, which the two stages record under different keys.
    static func epsilon(key: String) -> Self { .double(key, "--adam-epsilon", \.optimizer.epsilon, .positive) }
    static var weightDecay: Self { .double("weight_decay", "--weight-decay", \.optimizer.weightDecay, .notNegative) }
    static var clipNorm: Self { .double("clip_norm", "--clip-norm", \.optimizer.clipNorm, .notNegative) }
    static var freeze: Self { .texts("freeze", "--freeze", \.optimizer.freeze) }
    static var trainRows: Self {
        .choice("train_rows", "--train-rows", \.optimizer.trainRows).optionalInOldCheckpoints
    }
    static var microBatch: Self {
        .int("micro_batch_tokens", "--micro-batch-tokens", \.optimizer.microBatchTokens, 1...1 << 40)
    }
    static var recomputation: Self {
        .of(
            "recompute", "--recompute", \.optimizer.recomputation,
            to: { $0 == .auto ? .null : .string($0.rawValue) },
            from: { $0.isNull ? .auto : $0.string.flatMap(Recomputation.init(rawValue:)) }
        ).recordedIfSet
    }
    static var activations: Self {
        .of(
            "activations", "--activations", \.optimizer.activations,
            to: { $0 == .fp32 ? .null : .string($0.rawValue) },
            from: { $0.isNull ? .fp32 : $0.string.flatMap(ActivationPrecision.init(rawValue:)) }
        ).recordedIfSet
    }
    static var moments: Self {
        .of(
            "moments", "--moments", \.optimizer.moments, to: { $0 == .fp32 ? .null : .string($0.rawValue) },
            from: { $0.isNull ? .fp32 : $0.string.flatMap(MomentPrecision.init(rawValue:)) }
        ).recordedIfSet
    }
    static var weights: Self {
        .of(
            "weights", "--weights", \.optimizer.weights, to: { $0 == .fp32 ? .null : .string($0.rawValue) },
            from: { $0.isNull ? .fp32 : $0.string.flatMap(WeightPrecision.init(rawValue:)) }
        ).recordedIfSet
    }
    static var products: Self {
        .of(
            "products", "--products", \.optimizer.products, to: { .string($0.rawValue) },
            from: { $0.string.flatMap(ProductPrecision.init(name:)) },
            check: { try OptionError.require($1.isAvailable, "\($0) \(ProductPrecision.requirement)") }
        ).optionalInOldCheckpoints
    }
    static var shardsMoments: Self {
        .of(
            "shard_optimizer", "--shard-optimizer", \.optimizer.shardsMoments, to: { $0 ? .bool(true) : .null },
            from: { $0.isNull ? false : $0.bool }
        ).recordedIfSet
    }
    static var slices: Self {
        .of(
            "slices", "--slices", \.optimizer.slices, to: { $0.map { .integer($0) } ?? .null },
            from: { $0.isNull ? .some(nil) : $0.int },
            check: { flag, value in
                guard let value else { return }
                try OptionError.require(
                    (1...1024).contains(value) && value.nonzeroBitCount == 1,
                    "\(flag) must be a power of two from 1 to 1024")
            }
        ).recordedIfSet
    }
    static var seed: Self { .seed("seed", "--seed", \.run.seed) }
    static var savedContent: Self {
        .of(
            "save", "--save", \.run.savedContent, to: { $0 == .complete ? .null : .string($0.rawValue) },
            from: { $0.isNull ? .complete : $0.string.flatMap(SavedContent.init(rawValue:)) }
        ).recordedIfSet
    }
    static var keepLast: Self { .int("keep_last", "--keep-last", \.run.keepLast, 1...1 << 40) }
}
