import Transformer

/// What a warm-up will take, by a short trial of its first update that changes nothing on disk.
public struct SFTTrial: Sendable {
    /// Bytes of memory by what for.
    public var memory: [(what: String, bytes: Int)]
    /// Bytes of tensors in the folder at the end, before compression.
    public var diskBytes: Int
    public var savedStates: Int
    /// Tokens of the whole run, prompts counted once a pair.
    public var tokens: Int
    public var longestSample: Int
    public var tokensPerSecond: Double
    public var secondsPerOptimizerUpdate: Double
    public var seconds: Double
}

extension SFTTrainer {
    /// Trains on a micro-batch of the first update, without keeping what comes of it.
    public func trial() -> SFTTrial {
        var plan = self.plan
        let speed = TrainingSpeed(
            model, plan.pairs(of: 0).flatMap { pairs[$0].sequences }, microBatchTokens: options.microBatchTokens,
            gradients: gradients)
        let tokens = (0..<totalSteps).reduce(0) { sum, step in
            plan.pairs(of: step).reduce(sum) { $0 + Self.computedTokens(pairs[$1]) }
        }
        let states = options.saveEvery.map { (totalSteps + $0 - 1) / $0 } ?? 1
        return SFTTrial(
            memory: memory,
            diskBytes: options.diskBytes(ofStates: states, parameters: state.parameters.configuration.parameterCount),
            savedStates: states, tokens: tokens, longestSample: longestSample,
            tokensPerSecond: speed.tokensPerSecond, secondsPerOptimizerUpdate: speed.secondsPerOptimizerUpdate,
            seconds: Double(tokens) / speed.tokensPerSecond + Double(totalSteps) * speed.secondsPerOptimizerUpdate)
    }

    /// Bytes of memory that the run will take, by what for.
    public var memory: [(what: String, bytes: Int)] {
        var plan = self.plan
        let configuration = state.parameters.configuration
        let parameters = configuration.parameterCount
        let update = plan.pairs(of: 0).reduce(0) { $0 + Self.computedTokens(pairs[$1]) }
        // One sample at least is run at once.
        let tokens = max(longestSample, min(options.microBatchTokens, update))
        return [
            ("weights, gradient and two moments", 16 * parameters),
            (
                "activations of \(tokens) tokens",
                MemoryEstimate.training(configuration, tokens: tokens) - 16 * parameters
            ),
        ]
    }

    private var longestSample: Int { pairs.flatMap(\.sequences).reduce(0) { max($0, $1.count) } }

    /// Both halves share their prompt.
    private static func computedTokens(_ pair: TrainingPair) -> Int {
        pair.sequences.reduce(pair.sequences[0].prompt.count) { $0 + $1.response.count }
    }
}
