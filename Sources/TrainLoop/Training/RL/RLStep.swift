import CheckpointIO
import Foundation
import OrderedJSON
import Transformer

extension RLTrainer {
    /// One step: sample, score, log, update.
    mutating func step(
        folder: RunFolder, lastGood: String, report: (TrainingEvent) -> TrainingDisposition
    ) throws -> [(name: String, value: Double)] {
        let next = state.step + 1
        var clock = PhaseClock()
        let (all, kept) = try collect(step: next, lastGood: lastGood, clock: &clock, report: report)
        try writeRollouts(all, step: next, folder: folder)
        let weight = resolveAlpha(kept, step: next, report)
        clock.mark("reward")

        let rate = schedule.rate(at: state.step + (schedule.warmUpSteps > 0 ? 1 : 0))
        let summary = try makeUpdates(
            kept, controlWeight: weight, rate: rate, step: next, lastGood: lastGood, clock: &clock, report: report)
        if next == 1 { try checkFirstStep(summary, report) }
        state.step = next

        let rollouts = RolloutMetrics(groups: all)
        var metrics = [(name: "step", value: Double(next))] + rollouts.rows + summary.metrics
        metrics += [("lr", rate), ("alpha", meanWeight(weight, kept))]
        metrics += alarm(metrics, report)
        _ = report(.preference(rollouts.preferenceByLevel))
        return metrics + rollouts.sharesByLevel + clock.metrics
    }

    /// Samples the step's groups, and fresh ones in place of those without spread, as far as `refill` goes.
    ///
    /// - Returns: every group that was sampled, and those of the loss.
    private mutating func collect(
        step: Int, lastGood: String, clock: inout PhaseClock, report: (TrainingEvent) -> TrainingDisposition
    ) throws -> (all: [RolloutGroup], kept: [RolloutGroup]) {
        try withoutActuallyEscaping(report) { report in
            var phase = "rollout"
            let rollout = RolloutPhase(
                encoder: encoder, options: options, reward: reward, generator: Generator(model),
                progress: { _ = report(.progress(phase: phase, done: $0, total: $1)) })
            var all: [RolloutGroup] = []
            /// Places in `all` of the groups in the loss.
            var places = Array(0..<options.promptsPerStep)
            var wanted = options.promptsPerStep
            var left = options.refill
            while true {
                let problems = data.take(from: dataPosition, count: wanted)
                let keys = dataPosition..<(dataPosition + wanted)
                dataPosition += wanted
                do {
                    all += try rollout.groups(problems, keys: keys, step: step, clock: &clock)
                } catch let error as RewardError {
                    throw TrainingFailure.reward(error, step: step, lastGood: lastGood)
                }
                let flat = places.indices.filter { !all[places[$0]].hasSpread }
                wanted = min(flat.count, left)
                guard wanted > 0 else { break }
                for (index, place) in flat.prefix(wanted).enumerated() {
                    all[places[place]].isKept = false
                    places[place] = all.count + index
                }
                left -= wanted
                phase = "refill"
            }
            return (all, places.map { all[$0] })
        }
    }

    private mutating func resolveAlpha(
        _ groups: [RolloutGroup], step: Int, _ report: (TrainingEvent) -> TrainingDisposition
    ) -> PolicyLoss.ControlWeight {
        if let weight = options.alpha.weight(step: step) ?? automaticAlpha.map({ .constant($0) }) { return weight }
        guard case .auto(let factor) = options.alpha else { return .constant(0) }
        let rollouts = groups.flatMap(\.rollouts)
        let mean = Double(rollouts.reduce(0) { $0 + $1.tokenCount }) / Double(rollouts.count)
        let alpha = factor / mean
        automaticAlpha = alpha
        _ = report(.note("alpha set to \(alpha) = \(factor) / \(mean) mean response tokens, and kept"))
        return .constant(alpha)
    }

    /// α as it was used, the mean over samples where it depends on their lengths.
    private func meanWeight(_ weight: PolicyLoss.ControlWeight, _ groups: [RolloutGroup]) -> Double {
        if case .constant(let alpha) = weight { return alpha }
        let rollouts = groups.flatMap(\.rollouts)
        return rollouts.reduce(0) { $0 + weight.value(tokenCount: $1.tokenCount) } / Double(rollouts.count)
    }

    /// What must hold at the first step, and what a person should know about it.
    private func checkFirstStep(
        _ summary: UpdateSummary, _ report: (TrainingEvent) -> TrainingDisposition
    ) throws {
        // The update scores the sampled tokens with the policy that sampled them. Where factors are rounded, single tokens
        // differ as sums have another order; on average they must not.
        let isRounded = options.products == .bf16
        let (difference, limit) = isRounded ? (summary.difference.mean, 0.05) : (summary.difference.maximum, 0.01)
        guard difference < limit else {
            throw TrainingFailure.invariant(
                step: 1,
                "training gives a sampled token another log-probability (by \(difference)) than sampling did")
        }
        if isReferenceTheStart, let kl = summary.totals.first?.kl {
            switch options.referencePrecision {
            case .fp32:
                guard abs(kl) < (isRounded ? 1e-2 : 1e-4) else {
                    throw TrainingFailure.invariant(step: 1, "the KL to the start is \(kl) before any update")
                }
            case .bf16:
                _ = report(
                    .note(
                        "rounding the reference to bfloat16 makes a KL of \(String(format: "%.2g", kl)) at the start; "
                            + "--reference-precision fp32 avoids it"))
            }
        }
        guard options.loss == .degrpo || options.loss == .degrpoReleased else { return }
        let weight = summary.controlWeight
        let text = "the control token weighs \(String(format: "%.3g", weight)) times what it would under plain GRPO"
        if weight < 1 {
            _ = report(
                .warning(
                    text
                        + ": less, so the choice of mode learns more slowly; raise --alpha, or use --alpha auto=K"))
        } else {
            _ = report(.note(text))
        }
    }

    private func alarm(
        _ metrics: [(name: String, value: Double)], _ report: (TrainingEvent) -> TrainingDisposition
    ) -> [(name: String, value: Double)] {
        let alarm = CollapseAlarm(share: options.alarmShare, steps: options.alarmSteps)
        let byLevel = state.metadata.probes.last?.pThink.last
        let probe = byLevel.flatMap { $0.isEmpty ? nil : $0.reduce(0, +) / Double($0.count) }
        let (isLow, rings, isNew) = alarm.judge(
            metrics, after: state.metadata.history["rl"] ?? MetricHistory(), probe: probe)
        if isNew {
            _ = report(
                .warning(
                    "one mode has had less than \(options.alarmShare * 100) % for \(options.alarmSteps) steps: the choice "
                        + "is collapsing; lower --alpha or --lr, raise --kl-coefficient, or keep both alive with --balance"
                ))
        }
        return [("mode_low", isLow ? 1 : 0), ("collapse_alarm", rings ? 1 : 0)]
    }

    private func writeRollouts(_ groups: [RolloutGroup], step: Int, folder: RunFolder) throws {
        let digits = String(step)
        let name = "/step-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits + ".jsonl"
        let rows = groups.flatMap { $0.rows(step: step, encoder: encoder, detailed: options.logsProbabilities) }
        try Data(rows.map { $0.serialized() + "\n" }.joined().utf8)
            .write(to: URL(fileURLWithPath: folder.rolloutsPath + name), options: .atomic)
    }
}

// MARK: - Evaluation during training

extension RLTrainer {
    /// Accuracy on the dev problems, free and with each mode forced.
    func evaluate(
        _ report: (TrainingEvent) -> TrainingDisposition
    ) throws -> [(name: String, value: Double)] {
        guard let evaluation else { return [] }
        let start = ContinuousClock.now
        var chosen = Evaluation.Options()
        chosen.conditions = [.auto, .think, .short]
        chosen.prompt = .plain
        chosen.temperature = options.temperature
        chosen.topP = 1
        chosen.maximumNewTokens = options.maximumNewTokens
        chosen.rule = options.answerRule
        chosen.seed = options.seed
        let result = try withoutActuallyEscaping(report) { report in
            var hooks = EvaluationHooks()
            hooks.progress = { _ = report(.progress(phase: "evaluation", done: $0, total: $1)) }
            return try Evaluation(
                evaluation.problems, encoder: encoder, model: Model(state.parameters, products: options.products),
                options: chosen,
                reward: reward, hooks: hooks)
        }
        let (free, think, short) = (result.summary(.auto), result.summary(.think), result.summary(.short))
        _ = report(.evaluation(step: state.step, result))
        return [
            ("eval_acc", free.accuracy), ("eval_acc_think", think.accuracy), ("eval_acc_short", short.accuracy),
            ("eval_think_share", free.thinkShare), ("eval_p_think", free.pThink), ("eval_tokens", free.meanTokens),
            ("eval_tokens_think", think.meanTokens), ("eval_tokens_short", short.meanTokens),
            ("seconds_eval", Double((ContinuousClock.now - start) / .seconds(1))),
        ]
    }
}
