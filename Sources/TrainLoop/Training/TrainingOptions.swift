import Transformer

/// What both stages of training can be told, each with defaults of its own.
public protocol TrainingOptions {
    /// The peak.
    var learningRate: Double { get set }
    /// The shape behind the warm-up.
    var schedule: LearningRateSchedule.Shape { get set }
    /// Where the schedule ends, as a share of the peak.
    var finalLearningRateShare: Double { get set }
    var beta1: Double { get set }
    var beta2: Double { get set }
    var epsilon: Double { get set }
    var weightDecay: Double { get set }
    /// Gradient norm above which gradients are scaled down; 0: never.
    var clipNorm: Double { get set }
    /// Patterns of parameters that are not trained.
    var freeze: [String] { get set }
    /// Tokens in one forward and backward pass; changes memory and speed, never the result beyond rounding.
    var microBatchTokens: Int { get set }
    /// What matrix products multiply, forward and back. The mode probe measures in float32 all the same.
    var products: ProductPrecision { get set }
    var seed: UInt64 { get set }
    /// States that keep optimizer and training state.
    var keepLast: Int { get set }

    /// The defaults.
    init()
}

extension TrainingOptions {
    func optimizer(for configuration: ModelConfiguration) -> AdamW {
        AdamW(configuration, beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay)
    }

    /// - Throws: `OptionError` naming the flag.
    func checkTraining() throws {
        let require = OptionError.require
        for (flag, value) in [("--micro-batch-tokens", microBatchTokens), ("--keep-last", keepLast)] {
            try require(value >= 1, "\(flag) must be at least 1")
            try require(value <= 1 << 40, "\(flag) must be at most \(1 << 40)")
        }
        for (flag, value) in [("--lr", learningRate), ("--adam-epsilon", epsilon)] {
            try require(value > 0 && value.isFinite, "\(flag) must be above 0")
        }
        for (flag, value) in [("--weight-decay", weightDecay), ("--clip-norm", clipNorm)] {
            try require(value >= 0 && value.isFinite, "\(flag) must not be negative")
        }
        try require(products.isAvailable, "--products \(ProductPrecision.requirement)")
        try require((0...1).contains(finalLearningRateShare), "--final-lr-share must lie in 0...1")
        for (flag, value) in [("--beta1", beta1), ("--beta2", beta2)] {
            try require(value >= 0 && value < 1, "\(flag) must lie in 0..<1")
        }
    }

    /// Bytes of tensors that a run of so many saved states leaves, before compression: float32 weights, and two moments
    /// with the last states.
    func diskBytes(ofStates states: Int, parameters: Int) -> Int {
        let full = min(keepLast, states)
        return parameters * (12 * full + 4 * (states - full))
    }
}
