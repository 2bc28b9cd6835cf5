import Transformer

/// The samples of one update: what their loss is, and how its gradient comes about.
package struct MiniBatch {
    package let sequences: [TrainingSequence]
    package let loss: PolicyBatch
    /// Of the sampler, `[sample][token]`.
    let sampled: [[Float]]

    /// Sums over one pass.
    package struct Outcome {
        package var totals = PolicyTotals()
        /// Sum and maximum of |training's − sampler's| log-probability over the tokens run.
        var differenceSum = 0.0
        var differenceMaximum = 0.0
        var tokensRun = 0
    }

    package init(sequences: [TrainingSequence], loss: PolicyBatch, sampled: [[Float]] = []) {
        self.sequences = sequences
        self.loss = loss
        self.sampled = sampled
    }

    /// Samples that are run; the others would change nothing.
    package var contributing: [Int] { sequences.indices.filter(loss.contributes) }

    /// Adds the gradient of the loss over the whole mini-batch, however it is cut into passes of `tokenBudget` tokens.
    @discardableResult
    package func accumulate(
        _ model: Model, temperature: Double, tokenBudget: Int, into gradients: ModelParameters,
        progress: (_ samples: Int) -> Void = { _ in }
    ) -> Outcome {
        run(sequences, model, temperature, tokenBudget, gradients, progress)
    }

    /// Adds the part of the gradient that goes through the control tokens alone. Only prompts are run for it.
    func accumulateControl(_ model: Model, temperature: Double, tokenBudget: Int, into gradients: ModelParameters) {
        let first = sequences.map { TrainingSequence(prompt: $0.prompt, response: Array($0.response.prefix(1))) }
        _ = run(first, model, temperature, tokenBudget, gradients) { _ in }
    }

    private func run(
        _ sequences: [TrainingSequence], _ model: Model, _ temperature: Double, _ tokenBudget: Int,
        _ gradients: ModelParameters, _ progress: (_ samples: Int) -> Void
    ) -> Outcome {
        var outcome = Outcome()
        for indices in PackedSequences.microBatches(sequences, indices: contributing, tokenBudget: tokenBudget) {
            let packed = PackedSequences(sequences, indices: indices)
            func term(_ place: Int, _ logProbability: Float, _ entropy: Float) -> PolicyTerm {
                let owner = packed.owners[place]
                return loss.term(
                    sample: owner.sequence, token: owner.token, logProbability: Double(logProbability),
                    entropy: Double(entropy))
            }
            let scores = model.accumulateGradients(
                packed.batch, packed.positions, temperature: Float(temperature), into: gradients
            ) { range, scores in
                var gradient = (logProbability: [Float](), entropy: [Float]())
                for (offset, place) in range.enumerated() {
                    let term = term(place, scores.logProbabilities[offset], scores.entropies[offset])
                    gradient.logProbability.append(Float(term.gradient))
                    if loss.loss.entropyCoefficient != 0 { gradient.entropy.append(Float(term.entropyGradient)) }
                }
                return gradient
            }
            for (place, owner) in packed.owners.enumerated() {
                outcome.totals.add(term(place, scores.logProbabilities[place], scores.entropies[place]))
                guard owner.sequence < sampled.count else { continue }
                let difference = abs(Double(scores.logProbabilities[place] - sampled[owner.sequence][owner.token]))
                outcome.differenceSum += difference
                outcome.differenceMaximum = max(outcome.differenceMaximum, difference)
                outcome.tokensRun += 1
            }
            progress(indices.count)
        }
        return outcome
    }
}
