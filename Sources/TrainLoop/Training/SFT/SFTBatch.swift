import Transformer

/// The responses of one SFT update and the weight of each token in its loss.
package struct SFTBatch {
    /// Sums over the batch, weighted as the loss is.
    package struct Totals {
        package var loss = 0.0
        /// Mean negative log-probability of the control tokens alone.
        package var controlLoss = 0.0
        /// Mean over the tokens of think responses, and of short ones.
        package var thinkLoss = 0.0
        package var shortLoss = 0.0
        package var tokenCount = 0
        /// The first sequence with a log-probability that is not finite.
        package var firstNotFinite: Int?
    }

    package let sequences: [TrainingSequence]
    package let reduction: LossReduction

    package init(_ sequences: [TrainingSequence], reduction: LossReduction) {
        self.sequences = sequences
        self.reduction = reduction
    }

    /// Tokens of prompts and responses.
    package var tokenCount: Int { sequences.reduce(0) { $0 + $1.count } }

    /// Adds the gradient of the batch's loss to `gradients`. Pairs are think, short, think, short, …
    ///
    /// All divisors are those of the whole batch, so the result does not depend on `microBatchTokens`.
    package func accumulate(_ model: Model, microBatchTokens: Int, into gradients: ModelParameters) -> Totals {
        let responseTokens = sequences.reduce(0) { $0 + $1.response.count }
        func weight(_ sequence: Int) -> Double {
            switch reduction {
            case .token: 1 / Double(responseTokens)
            case .sequence: 1 / Double(sequences[sequence].response.count * sequences.count)
            }
        }
        var totals = Totals(tokenCount: responseTokens)
        var thinkTokens = 0
        for indices in PackedSequences.microBatches(
            sequences, indices: Array(sequences.indices), tokenBudget: microBatchTokens)
        {
            let packed = PackedSequences(sequences, indices: indices)
            let scores = model.accumulateGradients(packed.batch, packed.positions, into: gradients) { range, _ in
                (logProbability: range.map { Float(-weight(packed.owners[$0].sequence)) }, entropy: [])
            }
            for (owner, logProbability) in zip(packed.owners, scores.logProbabilities) {
                let loss = -Double(logProbability)
                if !loss.isFinite {
                    totals.firstNotFinite = min(totals.firstNotFinite ?? owner.sequence, owner.sequence)
                }
                totals.loss += loss * weight(owner.sequence)
                if owner.token == 0 { totals.controlLoss += loss / Double(sequences.count) }
                if owner.sequence % 2 == 0 {
                    totals.thinkLoss += loss
                    thinkTokens += 1
                } else {
                    totals.shortLoss += loss
                }
            }
        }
        totals.thinkLoss /= Double(max(thinkTokens, 1))
        totals.shortLoss /= Double(max(responseTokens - thinkTokens, 1))
        return totals
    }
}
