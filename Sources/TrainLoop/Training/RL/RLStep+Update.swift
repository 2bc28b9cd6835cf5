import Foundation
import Transformer

// The updates of a step: what the loss is computed from, the gradient over slices of the batch, and AdamW.

extension RLStep {
    /// The weight of the control token in this step, which `--alpha auto` computes from the first step's rollouts.
    func controlWeight(
        for groups: [RolloutGroup], _ automaticAlpha: inout Double?
    ) -> PolicyLoss.ControlWeight {
        guard case .auto(let factor) = options.loss.alpha else {
            return options.loss.alpha.weight(step: number) ?? .constant(0)
        }
        if let automaticAlpha { return .constant(automaticAlpha) }
        let rollouts = groups.flatMap(\.rollouts)
        let mean = Double(rollouts.reduce(0) { $0 + $1.tokenCount }) / Double(rollouts.count)
        let alpha = factor / mean
        automaticAlpha = alpha
        if options.loss.kind.weighsControlToken {
            training.report(
                .note("alpha is \(alpha) = \(factor) / \(mean) mean response tokens from this step on"))
        }
        return .constant(alpha)
    }

    /// Makes the optimizer updates of the step, one per mini-batch.
    func update(
        _ state: inout TrainingState, with kept: [RolloutGroup], _ alpha: PolicyLoss.ControlWeight,
        _ clock: inout PhaseClock
    ) throws -> UpdateSummary {
        var groups = kept
        if let reference {
            try score(&groups, with: reference.model, into: \.referenceLogProbabilities)
            clock.mark("reference")
        }
        let updates = options.loss.updatesPerBatch
        if updates > 1, options.loss.oldLogProbabilities == .recomputed {
            try score(&groups, with: model, into: \.oldLogProbabilities)
            clock.mark("old_logp")
        }

        var summary = UpdateSummary()
        let parts = options.loss.resolvedMiniBatches
        for update in 0..<updates {
            let part = update % parts
            let chosen = groups[(groups.count * part / parts)..<(groups.count * (part + 1) / parts)]
            let batch = try miniBatch(chosen.flatMap(\.rollouts), alpha, isOnPolicy: update == 0)
            let outcome = try accumulate(
                batch, sliceSamples(chosen), phase: updates > 1 ? "update \(update + 1)" : "update",
                after: state.optimizer.step, &summary)
            if update == 0 {
                summary.relativeControlWeight = batch.policyBatch.relativeControlWeight
                summary.difference = (
                    outcome.tokensRun > 0 ? outcome.differenceSum / Double(outcome.tokensRun) : 0,
                    outcome.differenceMaximum
                )
            }
            summary.totals.append(outcome.totals)
            summary.clippedFractions.append(batch.policyBatch.clippedFraction(outcome.totals))
            let norm = try slices.norm(gradients.all)
            summary.gradientNorms.append(norm)
            guard outcome.totals.loss.isFinite, norm.isFinite else {
                let gradient = "the gradient" + (gradients.all.firstNotFinite.map { " of \($0.name)" } ?? "")
                throw TrainingFailure.notFinite(
                    what: outcome.totals.loss.isFinite ? gradient : "the loss", step: number,
                    lastGood: training.lastSaved)
            }
            // Without a gradient there is no update: a batch without spread must not change any bit of the weights.
            if norm > 0 || options.optimizer.weightDecay > 0 {
                trained.update(
                    &state, gradients: gradients.all, norm: norm, learningRate: learningRate,
                    clipNorm: options.optimizer.clipNorm)
                try slices.shareWeights(state.parameters, through: gradients.all)
            }
        }
        clock.mark("update")
        return summary
    }

    /// The samples of each slice: those of whole groups, which share a prompt.
    private func sliceSamples(_ groups: ArraySlice<RolloutGroup>) -> [Range<Int>] {
        let sizes = groups.map { group in group.rollouts.reduce(0) { $0 + $1.sequence.count } }
        let starts = groups.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.rollouts.count) }
        return slices.cut(sizes).map { starts[$0.lowerBound]..<starts[$0.upperBound] }
    }

    /// Computes the gradient of a mini-batch after `updates` updates, and the norms of its parts if they are logged.
    private func accumulate(
        _ batch: MiniBatch, _ samples: [Range<Int>], phase: String, after updates: Int, _ summary: inout UpdateSummary
    ) throws -> MiniBatch.Outcome {
        let (temperature, budget) = (options.rollout.temperature, options.optimizer.microBatchTokens)
        let seed = (options.run.seed, updates)
        if options.run.logsControlGradientNorm {
            _ = try slices.accumulate(into: gradients.control, seed: seed) { slice, gradients in
                model.adapterDropoutKey = (options.run.seed, number, slice)
                batch.accumulateControl(
                    samples[slice], model, temperature: temperature, tokenBudget: budget, into: gradients)
                return true
            }
        }
        let total = batch.contributing.count
        var done = 0
        let parts = try slices.accumulate(into: gradients.all, seed: seed) { slice, gradients in
            model.adapterDropoutKey = (options.run.seed, number, slice)
            return batch.accumulate(
                samples[slice], model, temperature: temperature, tokenBudget: budget, into: gradients
            ) {
                done += $0
                training.report(.progress(phase: phase, done: min(done * training.ranks.count, total), total: total))
            }
        }
        var outcome = MiniBatch.Outcome()
        for part in parts { outcome.add(part) }
        if options.run.logsControlGradientNorm {
            summary.controlGradientNorms.append(try slices.norm(gradients.control))
            summary.responseGradientNorms.append(try slices.norm(gradients.all, minus: gradients.control))
        }
        return outcome
    }

    /// The samples of one update; `isOnPolicy` if the policy being trained is still the one that sampled (ratio 1).
    private func miniBatch(
        _ rollouts: [Rollout], _ alpha: PolicyLoss.ControlWeight, isOnPolicy: Bool
    ) throws -> MiniBatch {
        let chosen = options.loss
        let loss = PolicyLoss(
            kind: chosen.kind, controlWeight: alpha, epsilonLow: chosen.epsilonLow, epsilonHigh: chosen.epsilonHigh,
            klCoefficient: chosen.klCoefficient, klEstimator: chosen.klEstimator, klReduction: chosen.klReduction,
            klLimit: chosen.klLimit, entropyCoefficient: chosen.entropyCoefficient,
            maximumNewTokens: options.rollout.maximumNewTokens)
        let samples = rollouts.map { rollout in
            PolicyBatch.Sample(
                tokenCount: rollout.tokenCount, advantage: rollout.advantage,
                isMasked: options.guards.masksTruncated && rollout.form.isTruncated,
                oldLogProbabilities: isOnPolicy
                    ? nil : rollout.oldLogProbabilities ?? rollout.logProbabilities.map(Double.init),
                referenceLogProbabilities: rollout.referenceLogProbabilities,
                controlSampling: controlSampling(of: rollout), samplerWeights: samplerWeights(of: rollout))
        }
        return MiniBatch(
            sequences: rollouts.map(\.sequence), policyBatch: try PolicyBatch(loss: loss, samples: samples),
            samplerLogProbabilities: rollouts.map(\.logProbabilities))
    }

    /// How the control token was chosen under `--balance`.
    ///
    /// With k responses of a group forced into each mode, a control token c was drawn with probability
    /// q(c) = (k + (G−2k) π(c)) / G, forced or not, and any other first token with (G−2k) π / G.
    private func controlSampling(of rollout: Rollout) -> PolicyBatch.ControlSampling {
        let guards = options.guards
        guard guards.balance > 0 else { return .free }
        if guards.balanceWeight == .none { return rollout.isForced ? .excluded : .free }
        let forced = rollout.mode == nil ? 0 : Double(guards.balance)
        let groupSize = options.rollout.samplesPerPrompt
        let free = Double(groupSize - 2 * guards.balance)
        let probability = exp(Double(rollout.logProbabilities.first ?? 0))
        let mixture = (forced + free * probability) / Double(groupSize)
        return .balanced(logProbability: log(mixture), cap: guards.balanceCap)
    }

    /// Stores each response's log-probabilities under a model, at the sampling temperature; ranks share the groups.
    private func score(
        _ groups: inout [RolloutGroup], with model: Model, into path: WritableKeyPath<Rollout, [Double]?>
    ) throws {
        let sequences = groups.map { $0.rollouts.map(\.sequence) }
        let scores = try training.ranks.share(groups.count) { own -> [[[Double]]] in
            var rows = model.logProbabilities(
                of: own.flatMap { sequences[$0] }, temperature: options.rollout.temperature,
                tokenBudget: options.optimizer.microBatchTokens)[...]
            return own.map { group in sequences[group].compactMap { _ in rows.popFirst() } }
        }
        for group in groups.indices {
            for rollout in groups[group].rollouts.indices {
                groups[group].rollouts[rollout][keyPath: path] = scores[group][rollout]
            }
        }
    }
}
