/// The metrics of a run in groups, the loss last: in reinforcement it says least.
package enum MetricText {
    package enum Group: String, CaseIterable {
        case modes, right, tokens, reward, policy, optimizer, other, time, loss

        /// The group of a metric of ckpt, verl, TRL or prime-rl, by its name.
        package init(_ name: String) {
            let name = name.lowercased()
            func has(_ parts: String...) -> Bool { parts.contains(where: name.contains) }
            if has("seconds", "timing", "time", "per_second", "throughput", "runtime") {
                self = .time
            } else if has("loss"), !has("kl_loss") {
                self = .loss
            } else if name.hasPrefix("acc") || has("_acc", "/acc", "accuracy", "all_correct", "all_wrong") {
                self = .right
            } else if has("length", "truncated", "formed", "clipped_ratio", "tokens", "seq_len")
                || has("clip_ratio") && !name.hasPrefix("clip_ratio/")
            {
                self = .tokens
            } else if has("reward", "score", "zero_advantage", "refilled") {
                self = .reward
            } else if has("think", "short", "mode_", "collapse") {
                self = .modes
            } else if has(
                "advantage", "entropy", "kl", "clipfrac", "clip_frac", "clip_ratio", "logp", "sampler", "mismatch")
            {
                self = .policy
            } else if name == "lr" || has("grad", "learning_rate", "/lr", "alpha", "weight", "epoch", "momentum") {
                self = .optimizer
            } else {
                self = .other
            }
        }

        /// The metrics that are shown before the rest of the group is only counted.
        var limit: Int {
            switch self {
            case .modes: 8
            case .right, .tokens: 5
            case .reward, .policy, .optimizer, .loss, .other: 4
            case .time: 1
            }
        }
    }

    /// The most important metrics of each group; the others follow in the order in which they were logged.
    private static let order = [
        "think share", "num_think", "num_short", "p_think_mean", "p_think_entropy", "acc", "acc_think", "acc_short",
        "mean_token_accuracy", "response_length_mean", "response_length_think", "response_length_short",
        "completions/mean_length", "response_length/mean", "malformed", "reward_mean", "reward", "critic/score/mean",
        "critic/rewards/mean", "zero_advantage_groups", "entropy", "kl_loss", "grad_norm", "lr", "seconds_step",
        "tokens_per_second", "loss",
        "control_loss", "response_loss", "think_loss", "short_loss",
    ]

    private static let titles = [
        "acc": "right", "acc_think": "right think", "acc_short": "right short", "response_length_mean": "tokens",
        "response_length_think": "tokens think", "response_length_short": "tokens short",
        "response_length_max": "tokens longest", "num_think": "think answers", "num_short": "short answers",
        "p_think_mean": "P(<think>)", "reward_mean": "reward",
    ]

    /// What a reader calls a metric; its own name if that says it.
    static func title(_ name: String) -> String { titles[name] ?? name }

    /// A value of a metric: shares in percent.
    static func number(_ name: String) -> (Double) -> String {
        let isShare = name == "think share" || name.hasPrefix("acc") || name.hasPrefix("think_share_")
        return { isShare ? Format.percent($0) : Format.value($0) }
    }

    /// The names by group and importance.
    package static func sorted(_ names: [String]) -> [String] {
        names.enumerated().sorted { left, right in
            func key(_ entry: (offset: Int, element: String)) -> (Int, Int, Int) {
                let group = Group.allCases.firstIndex(of: Group(entry.element)) ?? 0
                return (group, order.firstIndex(of: entry.element) ?? order.count, entry.offset)
            }
            return key(left) < key(right)
        }.map(\.element)
    }

    /// One line per metric below the name of its group.
    static func lines(_ metrics: [(name: String, values: [Double])], width: Int) -> [String] {
        let shown = metrics.filter { $0.values.contains(where: \.isFinite) }
        let values = Dictionary(shown.map { ($0.name, $0.values) }, uniquingKeysWith: { first, _ in first })
        let groups = Dictionary(grouping: sorted(shown.map(\.name)), by: Group.init)
        let layout = StripLayout(width: width)
        var lines: [String] = []
        var left = 0
        for group in Group.allCases {
            guard let names = groups[group] else { continue }
            // Metrics that never changed go to the end of their group.
            let isFlat = { (name: String) in Set((values[name] ?? []).filter(\.isFinite)).count == 1 }
            let sorted = names.filter { !isFlat($0) } + names.filter(isFlat)
            lines.append("  " + Style.faint(group.rawValue))
            lines += sorted.prefix(group.limit).map { name in
                layout.line("  " + title(name), values[name] ?? [], number: number(name))
            }
            left += max(0, names.count - group.limit)
        }
        if left > 0 { lines.append("  … \(left) more in --json and --html") }
        return lines
    }
}
