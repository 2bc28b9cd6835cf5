import Transformer

/// How fast a model trains here, by a trial.
struct TrainingSpeed {
    let tokensPerSecond: Double
    let secondsPerOptimizerUpdate: Double

    /// Trains on one micro-batch of the sequences and keeps nothing of it: `gradients` is clear afterwards.
    init(_ model: Model, _ sequences: [TrainingSequence], microBatchTokens: Int, gradients: ModelParameters) {
        let indices =
            PackedSequences.microBatches(
                sequences, indices: Array(sequences.indices), tokenBudget: min(microBatchTokens, 2048)
            ).first ?? []
        let packed = PackedSequences(sequences, indices: indices)
        var seconds = 0.0
        // The first pass gets its memory from the system; where it is quick, that is most of it.
        for pass in 0..<2 where pass == 0 || seconds < 3 {
            seconds = Self.seconds {
                model.accumulateGradients(packed.batch, packed.positions, into: gradients) { range, _ in
                    (logProbability: range.map { _ in 1e-3 }, entropy: [])
                }
            }
        }
        gradients.clear()
        tokensPerSecond = Double(packed.batch.tokens.count) / max(seconds, 1e-9)

        // On parameters and moments of its own, so that the run's stay as they are.
        var optimizer = AdamW(gradients.configuration)
        let scratch = ModelParameters(gradients.configuration)
        // Likewise: the first update touches its moments for the first time.
        for _ in 0..<2 {
            seconds = Self.seconds { optimizer.update(scratch, gradients: gradients, learningRate: 0) }
        }
        secondsPerOptimizerUpdate = seconds
    }

    private static func seconds(_ work: () -> Void) -> Double {
        ContinuousClock().measure(work) / .seconds(1)
    }
}
