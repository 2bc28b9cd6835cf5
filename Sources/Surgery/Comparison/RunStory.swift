import OrderedJSON

/// What a training run did: the numbers by which it is judged at its start and at its end, and on which levels it
/// thinks.
package struct RunStory: Sendable {
    /// A quantity at the start and at the end: means over the first and the last steps that have it.
    package struct Change: Sendable {
        package let quantity: RunQuantity
        package let before: Double
        package let after: Double
        /// The number of steps of each mean.
        package let stepCount: Int
        /// The standard error of `after`, from the differences between neighbouring steps; 0 for a single step.
        package let errorAfter: Double

        /// The standard error of the difference.
        package var error: Double { errorAfter * 2.0.squareRoot() }

        /// Whether the difference is more than chance and more than a trifle.
        package var isClear: Bool {
            abs(after - before) > max(2 * error, quantity.smallestChange(from: before))
        }
    }

    package enum Choice: String, Sendable { case think, short, mixed }

    /// The preference for thinking on the prompts of a level, 0 to 1.
    package struct Level: Sendable {
        package let name: String
        package let before: Double
        package let after: Double

        /// What the model does on most prompts of the level at the end.
        package var choice: Choice { after >= 0.75 ? .think : after <= 0.25 ? .short : .mixed }
    }

    /// Why nothing moved.
    package enum Stillness: Sendable, Equatable {
        /// Fewer steps than a change takes.
        case fewSteps(Int)
        /// This share of the groups had equal rewards, which give no gradient.
        case equalRewards(share: Double)
        case noGradient
        case allWrong(share: Double)
        case allRight(share: Double)
        /// The learning rate, and how far the weights moved relative to their norm if that is known.
        case smallSteps(rate: Double, moved: Double?)
        case unexplained
    }

    package let changes: [Change]
    package let levels: [Level]
    /// Why nothing moved, the most likely reason first; empty if something did.
    package let stillness: [Stillness]

    package subscript(quantity: RunQuantity) -> Change? { changes.first { $0.quantity == quantity } }

    /// The change by which the run is called better or worse; nil if it logged none.
    package var criterion: Change? { RunQuantity.criteria.lazy.compactMap { self[$0] }.first }
}

extension RunStory {
    /// Tells the story of the metrics of a run.
    ///
    /// - Parameters:
    ///   - stepCount: the steps that were logged.
    ///   - names: the metrics that have a value.
    ///   - thinkShare: the share of thinking at each step, if the log has counts.
    ///   - isReinforcement: whether rewards were maximised; the loss then says nothing.
    ///   - levels: the preference by level.
    ///   - groupCount: the groups of prompts a step, if known.
    ///   - moved: ‖Δ‖/‖A‖ of the weights over the run, if known.
    ///   - metric: the values of a metric over the steps; nil if the log does not have it.
    init(
        stepCount: Int, names: [String], thinkShare: [Double], isReinforcement: Bool, levels: [Level],
        groupCount: Int?, moved: Double?, metric: (String) -> [Double]?
    ) {
        let quantities = RunQuantity.allCases.filter { !(isReinforcement && $0.isLoss) }
        changes = quantities.compactMap { quantity in
            let counted = quantity == .thinkShare && thinkShare.contains(where: \.isFinite) ? thinkShare : nil
            let values = counted ?? quantity.metric(in: names).flatMap(metric)
            return values.flatMap { Change(quantity, $0) }
        }
        self.levels = levels
        let moves = changes.contains(where: \.isClear)
        stillness =
            moves || stepCount == 0
            ? [] : Self.reasons(stepCount, names, groupCount: groupCount, moved: moved, changes, metric)
    }

    private static func reasons(
        _ stepCount: Int, _ names: [String], groupCount: Int?, moved: Double?, _ changes: [Change],
        _ metric: (String) -> [Double]?
    ) -> [Stillness] {
        func finite(_ aliases: String...) -> [Double] {
            (RunQuantity.first(of: aliases, in: names).flatMap(metric) ?? []).filter(\.isFinite)
        }
        var reasons: [Stillness] = []
        if stepCount < 10 { reasons.append(.fewSteps(stepCount)) }
        var equal = average(finite("frac_reward_zero_std"))
        if let groupCount, groupCount > 0 {
            let counted = average(finite("zero_advantage_groups")) / Double(groupCount)
            if counted.isFinite { equal = min(counted, 1) }
        }
        if equal >= 0.8 { reasons.append(.equalRewards(share: equal)) }
        let norms = finite("grad_norm", "actor/grad_norm", "optim/grad_norm")
        if !norms.isEmpty, norms.allSatisfy({ $0 == 0 }), equal.isNaN || equal < 1 { reasons.append(.noGradient) }
        if let accuracy = changes.first(where: { $0.quantity == .accuracy }) {
            if accuracy.after <= 0.02 { reasons.append(.allWrong(share: accuracy.after)) }
            if accuracy.before >= 0.98 { reasons.append(.allRight(share: accuracy.before)) }
        }
        let rates = finite("lr", "learning_rate", "actor/lr", "optim/lr")
        if let rate = rates.max(), rate < 5e-8 || (moved ?? 1) < 1e-4 {
            reasons.append(.smallSteps(rate: rate, moved: moved))
        }
        return reasons.isEmpty ? [.unexplained] : reasons
    }
}

extension RunStory.Change {
    /// The means of the first and the last quarter of the finite values, at most ten each; nil if there are none.
    init?(_ quantity: RunQuantity, _ values: [Double]) {
        let finite = values.filter(\.isFinite)
        guard !finite.isEmpty else { return nil }
        let count = min(10, max(1, finite.count / 4))
        let (first, last) = (Array(finite.prefix(count)), Array(finite.suffix(count)))
        self.quantity = quantity
        (before, after, stepCount) = (average(first), average(last), count)
        // Neighbours differ by chance far more than by the trend, so they tell the spread of a run that moves, too.
        let squares = zip(finite, finite.dropFirst()).reduce(0) { $0 + ($1.1 - $1.0) * ($1.1 - $1.0) }
        errorAfter = (squares / 2 / Double(max(finite.count - 1, 1)) / Double(count)).squareRoot()
    }
}

extension RunCurve {
    /// What the run did, from its metrics, its probe and, if they were compared, its weights.
    package var story: RunStory {
        RunStory(
            stepCount: steps.count, names: series.filter { $0.values.contains(where: \.isFinite) }.map(\.name),
            thinkShare: thinkShare, isReinforcement: isReinforcement, levels: levels,
            groupCount: options?["prompts_per_step"]?.int,
            moved: weights.map { $0.intervals.reduce(0) { $0 + $1.total } }, metric: { self[$0] })
    }

    /// The preference for thinking by level: of the probe, or else of the sampled responses.
    private var levels: [RunStory.Level] {
        if let preference, preference.levels.count > 1 {
            return preference.levels.compactMap { name in
                let (think, short) = (preference.meanThink(level: name), preference.meanShort(level: name))
                let both = Array(zip(think, short))
                guard let before = both.first, let after = both.last else { return nil }
                return RunStory.Level(name, before: before, after: after)
            }
        }
        let prefix = "think_share_"
        let named = series.filter { $0.name.hasPrefix(prefix) }.compactMap { series -> RunStory.Level? in
            guard let change = RunStory.Change(.thinkShare, series.values) else { return nil }
            return RunStory.Level(
                name: String(series.name.dropFirst(prefix.count)), before: change.before, after: change.after)
        }
        let order = ModePreferenceChange.levelNames(named.map(\.name))
        return named.count > 1 ? order.compactMap { name in named.first { $0.name == name } } : []
    }
}

extension RunStory.Level {
    /// The preference by the mean probabilities of both modes; nil if most responses at the end begin with neither.
    fileprivate init?(_ name: String, before: (think: Double, short: Double), after: (think: Double, short: Double)) {
        func share(_ means: (think: Double, short: Double)) -> Double {
            let sum = means.think + means.short
            return sum > 0 ? means.think / sum : .nan
        }
        guard after.think + after.short >= 0.5 else { return nil }
        self.init(name: name, before: share(before), after: share(after))
    }
}

extension ComparisonReport {
    /// What the training between A and B did; nil if B has no metrics of steps after A.
    package var story: RunStory? {
        // Reinforcement follows the warm-up, so its part of the history is the newer one.
        guard let run = metrics.contains(where: { $0.run == "rl" }) ? "rl" : metrics.first?.run else { return nil }
        let own = metrics.filter { $0.run == run }
        func metric(_ name: String) -> [Double]? { own.first { $0.name == name }?.values }
        let options = b.lineage.last { $0.operation == "train-\(run)" }?.arguments
        return RunStory(
            stepCount: own.first?.steps.count ?? 0,
            names: own.filter { $0.values.contains(where: \.isFinite) }.map(\.name),
            thinkShare: RunCurve.thinkShare(metric),
            isReinforcement: run == "rl",
            levels: modePreference.map(Self.levels) ?? [], groupCount: options?["prompts_per_step"]?.int,
            moved: total.relativeChange, metric: metric)
    }

    private static func levels(_ change: ModePreferenceChange) -> [RunStory.Level] {
        guard change.levels.count > 1 else { return [] }
        return change.levels.compactMap { level in
            let prompts = change.prompts.filter { $0.level == level.name }
            return RunStory.Level(
                level.name, before: (average(prompts.map(\.thinkA)), average(prompts.map(\.shortA))),
                after: (average(prompts.map(\.thinkB)), average(prompts.map(\.shortB))))
        }
    }
}
