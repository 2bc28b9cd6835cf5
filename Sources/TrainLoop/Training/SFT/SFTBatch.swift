import Transformer

/// The responses of one SFT update and their loss.
package struct SFTBatch {
    /// The loss of a batch and its parts.
    package struct Totals: Codable {
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
        /// The tokens of think responses.
        fileprivate var thinkTokens = 0

        /// Adds the totals of another slice of the batch, whose means are still sums.
        fileprivate mutating func add(_ other: Totals) {
            loss += other.loss
            controlLoss += other.controlLoss
            thinkLoss += other.thinkLoss
            shortLoss += other.shortLoss
            thinkTokens += other.thinkTokens
            firstNotFinite = [firstNotFinite, other.firstNotFinite].compactMap(\.self).min()
        }
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
        totals(of: [sums(sequences.indices, model, microBatchTokens, into: gradients)])
    }

    /// Computes the gradient of the batch's loss, with the pairs dealt out to slices; `seed` is that of the update.
    ///
    /// - Throws: `RankError`.
    func accumulate(
        _ model: Model, microBatchTokens: Int, into gradients: ModelParameters, slices: UpdateSlices,
        seed: (seed: UInt64, step: Int, updates: Int)
    ) throws -> Totals {
        let ranges = slices.cut(
            stride(from: 0, to: sequences.count, by: 2).map { pair in
                sequences[pair..<min(pair + 2, sequences.count)].reduce(0) { $0 + $1.count }
            })
        let parts = try slices.accumulate(into: gradients, seed: (seed.seed, seed.updates)) { slice, gradients in
            let pairs = ranges[slice]
            model.adapterDropoutKey = (seed.seed, seed.step, slice)
            return sums(
                2 * pairs.lowerBound..<min(2 * pairs.upperBound, sequences.count), model, microBatchTokens,
                into: gradients)
        }
        return totals(of: parts)
    }

    /// The means over the batch from the sums over its slices.
    private func totals(of parts: [Totals]) -> Totals {
        var totals = Totals(tokenCount: responseTokens)
        for part in parts { totals.add(part) }
        totals.thinkLoss /= Double(max(totals.thinkTokens, 1))
        totals.shortLoss /= Double(max(responseTokens - totals.thinkTokens, 1))
        return totals
    }

    private var responseTokens: Int { sequences.reduce(0) { $0 + $1.response.count } }

    /// Adds the gradient of some sequences' part of the loss to `gradients`, and returns the sums over their tokens.
    private func sums(
        _ range: Range<Int>, _ model: Model, _ microBatchTokens: Int, into gradients: ModelParameters
    ) -> Totals {
        let responseTokens = responseTokens
        func weight(_ sequence: Int) -> Double {
            switch reduction {
            case .token: 1 / Double(responseTokens)
            case .sequence: 1 / Double(sequences[sequence].response.count * sequences.count)
            }
        }
        var totals = Totals()
        for indices in PackedSequences.microBatches(
            sequences, indices: Array(range), tokenBudget: microBatchTokens)
        {
            let packed = PackedSequences(sequences, indices: indices, for: model)
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
                    totals.thinkTokens += 1
                } else {
                    totals.shortLoss += loss
                }
            }
        }
        return totals
    }
}
