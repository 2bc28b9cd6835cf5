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
        let first = plan.pairs(of: 0).flatMap { pairs[$0].sequences }
        let indices =
            PackedSequences.microBatches(
                first, indices: Array(first.indices), tokenBudget: min(options.microBatchTokens, 2048)
            ).first ?? []
        let packed = PackedSequences(first, indices: indices)
        func train() -> Double {
            let start = ContinuousClock.now
            model.accumulateGradients(packed.batch, packed.positions, into: gradients) { range, _ in
                (logProbability: range.map { _ in 1e-3 }, entropy: [])
            }
            return Double((ContinuousClock.now - start) / .seconds(1))
        }
        var trainSeconds = train()
        // The first pass gets its memory from the system; where it is quick, that is most of it.
        if trainSeconds < 3 { trainSeconds = train() }
        gradients.clear()
        var optimizer = AdamW(state.parameters.configuration)
        let scratch = ModelParameters(state.parameters.configuration)
        var updateSeconds = 0.0
        // Likewise: the first update touches its moments for the first time.
        for _ in 0..<2 {
            let start = ContinuousClock.now
            optimizer.update(scratch, gradients: gradients, learningRate: 0)
            updateSeconds = Double((ContinuousClock.now - start) / .seconds(1))
        }

        let tokens = (0..<totalSteps).reduce(0) { sum, step in
            plan.pairs(of: step).reduce(sum) { $0 + Self.computedTokens(pairs[$1]) }
        }
        let rate = Double(packed.batch.tokens.count) / max(trainSeconds, 1e-9)
        let parameters = state.parameters.configuration.parameterCount
        let states = options.saveEvery.map { (totalSteps + $0 - 1) / $0 } ?? 1
        let full = min(options.keepLast, states)
        return SFTTrial(
            memory: memory, diskBytes: parameters * (12 * full + 4 * (states - full)), savedStates: states,
            tokens: tokens,
            longestSample: longestSample, tokensPerSecond: rate, secondsPerOptimizerUpdate: updateSeconds,
            seconds: Double(tokens) / rate + Double(totalSteps) * updateSeconds)
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
