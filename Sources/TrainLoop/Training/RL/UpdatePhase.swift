import Foundation
import Transformer

/// What the updates of one step came to.
struct UpdateSummary {
    /// One for each update.
    var totals: [PolicyTotals] = []
    var norms: [Double] = []
    var controlNorms: [Double] = []
    var responseNorms: [Double] = []
    /// |training's − sampler's| log-probability at the first update, where both are of one policy.
    var difference: (mean: Double, maximum: Double) = (0, 0)
    /// How much more the control token weighs than under `grpo`, at the first update.
    var controlWeight = 0.0

    /// Means over the updates.
    var metrics: [(name: String, value: Double)] {
        func mean(_ value: (PolicyTotals) -> Double) -> Double { Self.mean(totals.map(value)) }
        return [
            ("loss", mean(\.loss)), ("control_loss", mean(\.controlLoss)), ("response_loss", mean(\.responseLoss)),
            ("pg_clipfrac", mean(\.clippedFraction)), ("ppo_kl", mean(\.meanNegativeLogRatio)), ("kl_loss", mean(\.kl)),
            ("entropy", mean(\.meanEntropy)), ("grad_norm", Self.mean(norms)),
        ] + (controlNorms.isEmpty ? [] : [("grad_norm_control", Self.mean(controlNorms))])
            + (responseNorms.isEmpty ? [] : [("grad_norm_response", Self.mean(responseNorms))]) + [
                ("logp_difference_mean", difference.mean), ("logp_difference_max", difference.maximum),
                ("control_weight_relative", controlWeight),
            ]
    }

    private static func mean(_ values: [Double]) -> Double {
        values.isEmpty ? .nan : values.reduce(0, +) / Double(values.count)
    }
}

extension RLTrainer {
    /// Makes the updates of a step from the groups that are in its loss.
    ///
    /// - Parameters:
    ///   - controlWeight: the weight of the control token.
    ///   - rate: the learning rate.
    mutating func makeUpdates(
        _ groups: [RolloutGroup], controlWeight: PolicyLoss.ControlWeight, rate: Double, step: Int, lastGood: String,
        clock: inout PhaseClock, report: (TrainingEvent) -> TrainingDisposition
    ) throws -> UpdateSummary {
        let references = reference.map { reference in
            defer { clock.mark("reference") }
            return score(groups) {
                reference.logProbabilities(
                    $0, temperature: options.temperature, tokenBudget: options.microBatchTokens)
            }
        }
        let old = options.updatesPerBatch > 1 ? oldLogProbabilities(groups, &clock) : nil

        var summary = UpdateSummary()
        let parts = options.resolvedMiniBatches
        for update in 0..<options.updatesPerBatch {
            let part = update % parts
            let range = (groups.count * part / parts)..<(groups.count * (part + 1) / parts)
            // The first update trains the very policy that sampled: its ratio is 1 by construction.
            let batch = try miniBatch(
                groups, range, controlWeight: controlWeight, old: update == 0 ? nil : old, references: references)
            if update == 0 { summary.controlWeight = batch.loss.relativeControlWeight }

            let outcome = accumulate(batch, update: update, &summary, report)
            summary.totals.append(outcome.totals)
            if update == 0, outcome.tokensRun > 0 {
                summary.difference = (outcome.differenceSum / Double(outcome.tokensRun), outcome.differenceMaximum)
            }
            let norm = gradientNorm(gradients)
            summary.norms.append(norm)
            guard outcome.totals.loss.isFinite, norm.isFinite else {
                throw TrainingFailure.notFinite(
                    what: outcome.totals.loss.isFinite ? notFiniteGradient() : "the loss", step: step,
                    lastGood: lastGood)
            }
            // No gradient, no decay: a batch without spread must leave every bit of the weights as it is.
            if norm > 0 || options.weightDecay > 0 {
                state.optimizer.update(
                    state.parameters, gradients: gradients, learningRate: Float(rate),
                    gradientScale: clipScale(norm: norm, limit: options.clipNorm), frozen: frozen.names)
            }
        }
        clock.mark("update")
        return summary
    }

    private mutating func accumulate(
        _ batch: MiniBatch, update: Int, _ summary: inout UpdateSummary,
        _ report: (TrainingEvent) -> TrainingDisposition
    ) -> MiniBatch.Outcome {
        if options.splitsGradientNorm {
            let control = controlGradients ?? ModelParameters(state.parameters.configuration)
            controlGradients = control
            control.clear()
            batch.accumulateControl(
                model, temperature: options.temperature, tokenBudget: options.microBatchTokens, into: control)
            frozen.clear(control)
        }
        gradients.clear()
        var done = 0
        let total = batch.contributing.count
        let name = options.updatesPerBatch > 1 ? "update \(update + 1)" : "update"
        let outcome = batch.accumulate(
            model, temperature: options.temperature, tokenBudget: options.microBatchTokens, into: gradients
        ) { count in
            done += count
            _ = report(.progress(phase: name, done: done, total: total))
        }
        frozen.clear(gradients)
        if options.splitsGradientNorm, let controlGradients {
            summary.controlNorms.append(gradientNorm(controlGradients))
            summary.responseNorms.append(gradientNorm(gradients, minus: controlGradients))
        }
        return outcome
    }

    private func miniBatch(
        _ groups: [RolloutGroup], _ range: Range<Int>, controlWeight: PolicyLoss.ControlWeight, old: [[[Double]]]?,
        references: [[[Double]]]?
    ) throws -> MiniBatch {
        let loss = PolicyLoss(
            kind: options.loss, controlWeight: controlWeight, epsilonLow: options.epsilonLow,
            epsilonHigh: options.epsilonHigh, klCoefficient: options.klCoefficient,
            klEstimator: options.klEstimator, klReduction: options.klReduction, klLimit: options.klLimit,
            entropyCoefficient: options.entropyCoefficient, maximumNewTokens: options.maximumNewTokens)
        let chosen = range.flatMap { group in groups[group].rollouts.indices.map { (group: group, sample: $0) } }
        let rollouts = chosen.map { groups[$0.group].rollouts[$0.sample] }
        let samples = zip(chosen, rollouts).map { place, rollout in
            PolicyBatch.Sample(
                tokenCount: rollout.tokenCount, advantage: rollout.advantage,
                isMasked: options.masksTruncated && rollout.form.isTruncated,
                oldLogProbabilities: old?[place.group][place.sample],
                referenceLogProbabilities: references?[place.group][place.sample],
                controlSampling: controlSampling(of: rollout))
        }
        return MiniBatch(
            sequences: rollouts.map(\.sequence), loss: try PolicyBatch(loss: loss, samples: samples),
            sampled: rollouts.map(\.logProbabilities))
    }

    /// Where k samples of a group are forced into each mode, a control token c was met with probability
    /// q(c) = (k + (G−2k) π(c)) / G, whoever chose it; any other first token with (G−2k) π / G.
    private func controlSampling(of rollout: Rollout) -> PolicyBatch.ControlSampling {
        guard options.balance > 0 else { return .free }
        if options.balanceWeight == .none { return rollout.isForced ? .excluded : .free }
        let forced = rollout.mode == nil ? 0 : Double(options.balance)
        let free = Double(options.samplesPerPrompt - 2 * options.balance)
        let probability = exp(Double(rollout.logProbabilities.first ?? 0))
        let mixture = (forced + free * probability) / Double(options.samplesPerPrompt)
        return .balanced(logProbability: log(mixture), cap: options.balanceCap)
    }

    /// `[group][sample][token]`
    private func oldLogProbabilities(_ groups: [RolloutGroup], _ clock: inout PhaseClock) -> [[[Double]]] {
        switch options.oldLogProbabilities {
        case .sampled: return groups.map { $0.rollouts.map { $0.logProbabilities.map(Double.init) } }
        case .recomputed:
            defer { clock.mark("old_logp") }
            return score(groups) {
                PackedSequences.score(
                    $0, model, temperature: options.temperature, tokenBudget: options.microBatchTokens)
            }
        }
    }

    /// Scores all samples with `body` and sorts the result by group again.
    private func score(_ groups: [RolloutGroup], _ body: ([TrainingSequence]) -> [[Double]]) -> [[[Double]]] {
        var rows = body(groups.flatMap { $0.rollouts.map(\.sequence) })[...]
        return groups.map { group in
            defer { rows = rows.dropFirst(group.rollouts.count) }
            return Array(rows.prefix(group.rollouts.count))
        }
    }

    /// "the gradient of …", by the first tensor that has an infinity or a NaN.
    private func notFiniteGradient() -> String {
        let name = gradients.layout.map(\.name).first { gradients[$0]?.allSatisfy(\.isFinite) == false }
        return "the gradient" + (name.map { " of \($0)" } ?? "")
    }
}
