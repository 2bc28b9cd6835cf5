import CheckpointIO
import OrderedJSON
import Transformer

/// The resources that a warm-up takes, measured by a short trial of its first update that writes nothing.
package struct SFTTrial: Sendable {
    package var memory: [MemoryUse]
    /// Bytes of tensors in the folder at the end, before compression.
    package var diskBytes: Int
    package var savedStates: Int
    /// Tokens of the whole run; the halves of a pair share their prompt.
    package var tokens: Int
    package var longestSample: Int
    package var tokensPerSecond: Double
    package var secondsPerOptimizerUpdate: Double
    package var seconds: Double
    /// A step on this machine alone.
    package var step: RankForecast.Step
}

extension SFTTrainer {
    /// Trains on a micro-batch of the first update and discards the result.
    package func trial() -> SFTTrial {
        var plan = self.plan
        let speed = TrainingSpeed(
            model, plan.pairs(of: 0).flatMap { pairs[$0].sequences },
            options.optimizer, gradients: gradients)
        // The first updates stand for the others of a very long run.
        let counted = min(totalSteps, 1 << 16)
        let countedTokens = (0..<counted).reduce(0) { sum, step in
            plan.pairs(of: step).reduce(sum) { $0 + Self.computedTokens(pairs[$1]) }
        }
        let tokens =
            counted == totalSteps
            ? countedTokens : Int(saturating: Double(countedTokens) / Double(counted) * Double(totalSteps))
        let lengths = (0..<min(counted, 256)).flatMap { plan.pairs(of: $0) }.flatMap {
            pairs[$0].sequences.map(\.count)
        }
        let tokensPerSecond = speed.tokensPerSecond(length: TrainingSpeed.effectiveLength(of: lengths))
        let states = options.run.saveEvery.map { (totalSteps + $0 - 1) / $0 } ?? 1
        return SFTTrial(
            memory: memory,
            diskBytes: options.run.diskBytes(
                ofStates: states, weightBytes: state.savedBytes(options.run.savedContent),
                momentBytes: 2 * options.optimizer.moments.byteCount(gradients.trained)),
            savedStates: states, tokens: tokens, longestSample: longestSample,
            tokensPerSecond: tokensPerSecond, secondsPerOptimizerUpdate: speed.secondsPerOptimizerUpdate,
            seconds: Double(tokens) / tokensPerSecond + Double(totalSteps) * speed.secondsPerOptimizerUpdate,
            step: RankForecast.Step(
                passes: Double(tokens) / tokensPerSecond / Double(totalSteps),
                optimizer: speed.secondsPerOptimizerUpdate,
                gradientBytes: options.optimizer.weights.byteCount(gradients.layout), adding: speed.secondsPerSum))
    }

    /// The memory that the run will take.
    package var memory: [MemoryUse] { memory(recomputing: model.recomputesActivations) }

    func memory(recomputing: Bool) -> [MemoryUse] {
        var plan = self.plan
        let update = plan.pairs(of: 0).reduce(0) { $0 + Self.computedTokens(pairs[$1]) }
        // At least one sample is in memory at a time.
        let tokens = max(longestSample, min(options.optimizer.microBatchTokens, update))
        return MemoryUse.training(
            state, gradients, options.optimizer, tokens: tokens, longest: longestSample,
            recomputing: recomputing, slices: slices)
    }

    private var longestSample: Int { pairs.flatMap(\.sequences).reduce(0) { max($0, $1.count) } }

    /// The tokens that are computed for a pair, whose halves share their prompt.
    private static func computedTokens(_ pair: TrainingPair) -> Int {
        pair.sequences.reduce(pair.sequences[0].prompt.count) { $0 + $1.response.count }
    }
}
