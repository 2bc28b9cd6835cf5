import Transformer

/// The responses of one SFT update and their loss.
package struct SFTBatch {
    /// The loss of a batch and its parts.
    package struct Totals {
        package var loss = 0.0
        /// Mean negative log-probability of the control tokens.
        package var controlLoss = 0.0
        /// Mean negative log-probability of the tokens of think responses.
        package var thinkLoss = 0.0
        /// Mean negative log-probability of the tokens of short responses.
        package var shortLoss = 0.0
        package var tokenCount = 0
        /// The first sequence with a log-probability that is not finite.
        package var firstNotFinite: Int?
    }

    private let sequences: [TrainingSequence]
    private let reduction: LossReduction

    /// - Parameters:
    ///   - sequences: the halves of the pairs, think before short.
    ///   - reduction: the divisor of the loss.
    package init(_ sequences: [TrainingSequence], reduction: LossReduction) {
        self.sequences = sequences
        self.reduction = reduction
    }

    /// Tokens of prompts and responses.
    var tokenCount: Int { sequences.reduce(0) { $0 + $1.count } }

    /// Adds the gradient of the batch's loss to `gradients`.
    ///
    /// All divisors are those of the whole batch, so the result depends on `microBatchTokens` only by rounding.
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
