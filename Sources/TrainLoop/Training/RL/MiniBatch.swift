import Transformer

/// The samples of one update, and the computation of their loss and its gradient.
package struct MiniBatch {
    private let sequences: [TrainingSequence]
    package let policyBatch: PolicyBatch
    /// The sampler's log-probabilities, `[sample][token]`; empty if they are not to be compared with.
    private let samplerLogProbabilities: [[Float]]

    /// The sums over one pass through the samples.
    package struct Outcome: Codable {
        package var totals = PolicyTotals()
        /// |model − sampler| log-probability over the tokens run: sum and maximum.
        var differenceSum = 0.0
        var differenceMaximum = 0.0
        var tokensRun = 0

        /// Adds the sums over other samples.
        mutating func add(_ other: Outcome) {
            totals.add(other.totals)
            differenceSum += other.differenceSum
            differenceMaximum = max(differenceMaximum, other.differenceMaximum)
            tokensRun += other.tokensRun
        }
    }

    package init(sequences: [TrainingSequence], policyBatch: PolicyBatch, samplerLogProbabilities: [[Float]] = []) {
        self.sequences = sequences
        self.policyBatch = policyBatch
        self.samplerLogProbabilities = samplerLogProbabilities
    }

    /// The indices of the samples that are run; the others have no effect on loss and gradient.
    var contributing: [Int] { sequences.indices.filter(policyBatch.contributes) }

    /// Adds the gradient of the loss to `gradients`, in passes of at most `tokenBudget` tokens.
    ///
    /// - Parameters:
    ///   - model: the model being trained.
    ///   - temperature: the sampling temperature, by which logits are divided.
    ///   - tokenBudget: the tokens of one pass; the result depends on it only by rounding.
    ///   - gradients: the buffer that the gradient is added to.
    ///   - progress: called after each pass with the number of its samples.
    /// - Returns: the loss and its parts, and the difference to the sampler.
    @discardableResult
    package func accumulate(
        _ model: Model, temperature: Double, tokenBudget: Int, into gradients: ModelParameters,
        progress: (_ samples: Int) -> Void = { _ in }
    ) -> Outcome {
        run(sequences, sequences.indices, model, temperature, tokenBudget, gradients, progress)
    }

    /// The same for some of the samples, whose gradient is a part of that of the loss.
    func accumulate(
        _ samples: Range<Int>, _ model: Model, temperature: Double, tokenBudget: Int, into gradients: ModelParameters,
        progress: (_ samples: Int) -> Void
    ) -> Outcome {
        run(sequences, samples, model, temperature, tokenBudget, gradients, progress)
    }

    /// Adds the part of some samples' gradient that flows through the control tokens; only the prompts are run.
    func accumulateControl(
        _ samples: Range<Int>, _ model: Model, temperature: Double, tokenBudget: Int, into gradients: ModelParameters
    ) {
        let first = sequences.map { TrainingSequence(prompt: $0.prompt, response: Array($0.response.prefix(1))) }
        _ = run(first, samples, model, temperature, tokenBudget, gradients) { _ in }
    }

    private func run(
        _ sequences: [TrainingSequence], _ samples: Range<Int>, _ model: Model, _ temperature: Double,
        _ tokenBudget: Int, _ gradients: ModelParameters, _ progress: (_ samples: Int) -> Void
    ) -> Outcome {
        var outcome = Outcome()
        let indices = contributing.filter(samples.contains)
        for indices in PackedSequences.microBatches(sequences, indices: indices, tokenBudget: tokenBudget) {
            let packed = PackedSequences(sequences, indices: indices, for: model)
            func term(_ position: Int, _ logProbability: Float, _ entropy: Float) -> PolicyTerm {
                let owner = packed.owners[position]
                return policyBatch.term(
                    sample: owner.sequence, token: owner.token, logProbability: Double(logProbability),
                    entropy: Double(entropy))
            }
            let scores = model.accumulateGradients(
                packed.batch, packed.positions, temperature: Float(temperature), into: gradients
            ) { range, scores in
                var gradient = (logProbability: [Float](), entropy: [Float]())
                for (offset, position) in range.enumerated() {
                    let term = term(position, scores.logProbabilities[offset], scores.entropies[offset])
                    gradient.logProbability.append(Float(term.gradient))
                    if policyBatch.loss.entropyCoefficient != 0 { gradient.entropy.append(Float(term.entropyGradient)) }
                }
                return gradient
            }
            for (position, owner) in packed.owners.enumerated() {
                let logProbability = scores.logProbabilities[position]
                outcome.totals.add(term(position, logProbability, scores.entropies[position]))
                guard owner.sequence < samplerLogProbabilities.count else { continue }
                let sampled = samplerLogProbabilities[owner.sequence][owner.token]
                let difference = abs(Double(logProbability - sampled))
                outcome.differenceSum += difference
                outcome.differenceMaximum = max(outcome.differenceMaximum, difference)
                outcome.tokensRun += 1
            }
            progress(indices.count)
        }
        return outcome
    }
}

extension Model {
    /// Log-probabilities of the response tokens, `[sequence][token]`, in passes of at most `tokenBudget` tokens.
    func logProbabilities(
        of sequences: [TrainingSequence], temperature: Double, tokenBudget: Int
    ) -> [[Double]] {
        scores(of: sequences, temperature: temperature, tokenBudget: tokenBudget).logProbabilities
    }

    /// Log-probabilities of the response tokens and entropies of their distributions, each `[sequence][token]`.
    func scores(
        of sequences: [TrainingSequence], temperature: Double, tokenBudget: Int
    ) -> (logProbabilities: [[Double]], entropies: [[Double]]) {
        var result = sequences.map { [Double](repeating: 0, count: $0.response.count) }
        var entropies = result
        for indices in PackedSequences.microBatches(
            sequences, indices: Array(sequences.indices), tokenBudget: tokenBudget)
        {
            let packed = PackedSequences(sequences, indices: indices, for: self)
            let scores = score(packed.batch, packed.positions, temperature: Float(temperature))
            for (position, owner) in packed.owners.enumerated() {
                result[owner.sequence][owner.token] = Double(scores.logProbabilities[position])
                entropies[owner.sequence][owner.token] = Double(scores.entropies[position])
            }
        }
        return (result, entropies)
    }
}
