import Surgery

/// The metrics of a run, one per line: name, sparkline, first and last value.
enum MetricText {
    /// The most important metrics; the others follow in the order in which they were logged.
    private static let order = [
        "think share", "loss", "control_loss", "num_think", "num_short", "acc_think", "acc_short", "reward_mean",
        "response_length_think", "response_length_short", "response_length_mean", "p_think_mean", "p_think_entropy",
        "malformed", "truncated_think", "truncated_short", "zero_advantage_groups", "grad_norm", "entropy", "kl_loss",
        "ppo_kl", "ppo_kl_computed", "clip_ratio", "lr",
    ]

    /// The names sorted by importance.
    static func sorted(_ names: [String]) -> [String] {
        names.enumerated().sorted { left, right in
            let a = order.firstIndex(of: left.element) ?? order.count
            let b = order.firstIndex(of: right.element) ?? order.count
            return (a, left.offset) < (b, right.offset)
        }.map(\.element)
    }

    static func lines(_ metrics: [(name: String, values: [Double])], limit: Int = 16) -> [String] {
        let shown = metrics.filter { $0.values.contains(where: \.isFinite) }
        // Metrics that never changed go to the end.
        let flat = Set(shown.filter { Set($0.values.filter(\.isFinite)).count == 1 }.map(\.name))
        let ranks = sorted(shown.map(\.name)).enumerated().reduce(into: [String: Int]()) { ranks, entry in
            ranks[entry.element] = entry.offset + (flat.contains(entry.element) ? shown.count : 0)
        }
        let sorted = shown.sorted { (ranks[$0.name] ?? 0) < (ranks[$1.name] ?? 0) }
        var lines = sorted.prefix(limit).map { metric in
            let finite = metric.values.filter(\.isFinite)
            return "  \(Format.column(metric.name, 24)) \(TextPlot.strip(metric.values))"
                + "  \(Format.number(finite.first ?? .nan)) → \(Format.number(finite.last ?? .nan))"
        }
        if sorted.count > limit { lines.append("  … \(sorted.count - limit) more in --json") }
        return lines
    }
}
