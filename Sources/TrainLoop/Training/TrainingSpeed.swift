import Transformer

/// The training speed of a model on this machine, measured by a trial.
struct TrainingSpeed {
    let tokensPerSecond: Double
    let secondsPerOptimizerUpdate: Double

    /// Measures one micro-batch and one optimizer update, without changing the model; clears `gradients`.
    init(_ model: Model, _ sequences: [TrainingSequence], _ options: OptimizerOptions, gradients: ModelParameters) {
        let indices =
            PackedSequences.microBatches(
                sequences, indices: Array(sequences.indices), tokenBudget: min(options.microBatchTokens, 2048)
            ).first ?? []
        let packed = PackedSequences(sequences, indices: indices)
        var seconds = 0.0
        // The first pass allocates memory, which dominates the time of a short pass, so a second one is measured.
        for pass in 0..<2 where pass == 0 || seconds < 3 {
            seconds = Self.seconds {
                model.accumulateGradients(packed.batch, packed.positions, into: gradients) { range, _ in
                    (logProbability: range.map { _ in 1e-3 }, entropy: [])
                }
            }
        }
        gradients.clear()
        tokensPerSecond = Double(packed.batch.tokens.count) / max(seconds, 1e-9)

        // Separate parameters and moments, so that those of the run do not change.
        var optimizer = options.makeOptimizer(for: gradients.configuration, gradients.trained, seed: 0)
        let scratch = ModelParameters(gradients.configuration, gradients.trained, gradients.precision)
        // Here too, the first update allocates memory.
        for _ in 0..<2 {
            seconds = Self.seconds { optimizer.update(scratch, gradients: gradients, learningRate: 0) }
        }
        secondsPerOptimizerUpdate = seconds
    }

    private static func seconds(_ work: () -> Void) -> Double {
        ContinuousClock().measure(work) / .seconds(1)
    }
}
