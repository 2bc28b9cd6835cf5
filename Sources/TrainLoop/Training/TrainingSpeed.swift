import Transformer

/// The training speed of a model on this machine, measured by a trial.
struct TrainingSpeed {
    let secondsPerOptimizerUpdate: Double
    /// The time to add one gradient to another.
    let secondsPerSum: Double
    /// The speed for texts so short that attention costs nothing.
    private let shortTokensPerSecond: Double
    /// What attention costs for each token of context, as a share of everything else.
    private let attentionShare: Double

    /// The time of a multiplication in attention, in multiplications of the layers' products.
    ///
    /// `engine-bench train --shape smol` takes 1.82 times as much processor time for one text of 4,096 tokens as for 16
    /// of 256, forward and backward, with recomputation.
    private static let attentionCost = 1.75

    /// Tokens of a text that are tried at most; the time of a longer one follows from the arithmetic.
    private static let longestTried = 2048

    /// The speed for texts of `length` tokens, whose tokens attend to half of them on average.
    func tokensPerSecond(length: Double) -> Double { shortTokensPerSecond / (1 + attentionShare * length / 2) }

    /// The length at which all tokens of a number of texts would take as long as they do.
    static func effectiveLength(of lengths: some Sequence<Int>) -> Double {
        let (tokens, squares) = lengths.reduce(into: (1e-9, 0.0)) {
            $0.0 += Double($1)
            $0.1 += Double($1) * Double($1)
        }
        return squares / tokens
    }

    /// Measures one micro-batch and one optimizer update, without changing the model; clears `gradients`.
    init(_ model: Model, _ sequences: [TrainingSequence], _ options: OptimizerOptions, gradients: ModelParameters) {
        let sequences = sequences.map { sequence in
            TrainingSequence(
                prompt: Array(sequence.prompt.prefix(Self.longestTried - 1)),
                response: Array(sequence.response.prefix(max(1, Self.longestTried - sequence.prompt.count))))
        }
        let indices =
            PackedSequences.microBatches(
                sequences, indices: Array(sequences.indices),
                tokenBudget: min(options.microBatchTokens, Self.longestTried)
            ).first ?? []
        let packed = PackedSequences(sequences, indices: indices, for: model)
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
        let configuration = gradients.configuration
        // Multiplications for a token: one for each weight of a matrix, and two for each query and token of context.
        let weights = configuration.parameters.reduce(0) {
            $0 + ($1.isMatrix && $1.name != "model.embed_tokens.weight" ? $1.elementCount : 0)
        }
        let head = configuration.tiesWordEmbeddings ? configuration.vocabularySize * configuration.hiddenSize : 0
        attentionShare =
            Self.attentionCost * Double(2 * configuration.layerCount * configuration.queryWidth)
            / Double(weights + head)
        let length = Self.effectiveLength(of: indices.map { sequences[$0].count })
        shortTokensPerSecond =
            Double(packed.batch.tokens.count) / max(seconds, 1e-9) * (1 + attentionShare * length / 2)

        // Separate parameters and moments, so that those of the run do not change.
        var optimizer = options.makeOptimizer(
            for: gradients.configuration, gradients.trained, seed: 0, shard: nil)
        let scratch = ModelParameters(gradients.configuration, gradients.trained, gradients.precision)
        // Here too, the first update allocates memory.
        for _ in 0..<2 {
            seconds = Self.seconds { optimizer.update(scratch, gradients: gradients, learningRate: 0) }
        }
        secondsPerOptimizerUpdate = seconds
        secondsPerSum = Self.seconds { scratch.add(gradients, at: SliceNode(level: 0, index: 0)) }
    }

    private static func seconds(_ work: () -> Void) -> Double {
        ContinuousClock().measure(work) / .seconds(1)
    }
}
