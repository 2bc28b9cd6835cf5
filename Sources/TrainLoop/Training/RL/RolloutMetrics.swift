import Foundation

/// The metrics of a step's rollouts, with the names that Thinkless and verl use for those that they have.
struct RolloutMetrics {
    /// All groups that were sampled, including those that fresh prompts replaced.
    let groups: [RolloutGroup]
    let levelNames: LevelNames

    private var all: [Rollout] { groups.flatMap(\.rollouts) }

    var row: MetricRow {
        let all = all
        let free = all.filter { !$0.isForced }
        let think = all.filter { $0.mode == .think }
        let short = all.filter { $0.mode == .short }
        func groupCount(_ condition: (RolloutGroup) -> Bool) -> Double { Double(groups.count(where: condition)) }
        func share(_ part: Int, of whole: Int) -> Double { whole == 0 ? .nan : Double(part) / Double(whole) }
        func mean<Item>(_ items: [Item], _ value: (Item) -> Double) -> Double {
            items.isEmpty ? .nan : items.reduce(0) { $0 + value($1) } / Double(items.count)
        }
        let rewards = all.map(\.verdict.reward)
        let rewardMean = mean(rewards) { $0 }
        return [
            // Counts of free samples only, because the policy did not choose the mode of forced ones.
            "num_think": Double(free.count { $0.mode == .think }),
            "num_short": Double(free.count { $0.mode == .short }),
            "acc_think": share(think.count(where: \.isCorrect), of: think.count),
            "acc_short": share(short.count(where: \.isCorrect), of: short.count),
            "acc": share(all.count(where: \.isCorrect), of: all.count),
            "all_correct_think": groupCount { $0.rollouts.allSatisfy { $0.isCorrect && $0.mode == .think } },
            "all_correct_short": groupCount { $0.rollouts.allSatisfy { $0.isCorrect && $0.mode == .short } },
            "all_wrong": groupCount { $0.rollouts.allSatisfy { !$0.isCorrect } },
            "zero_advantage_groups": groupCount { !$0.hasSpread },
            "refilled_groups": groupCount { !$0.isKept },
            "reward_mean": rewardMean,
            "reward_std": mean(rewards) { ($0 - rewardMean) * ($0 - rewardMean) }.squareRoot(),
            "response_length_mean": mean(all) { Double($0.tokenCount) },
            "response_length_max": Double(all.map(\.tokenCount).max() ?? 0),
            "response_length_think": mean(think) { Double($0.tokenCount) },
            "response_length_short": mean(short) { Double($0.tokenCount) },
            "clip_ratio": share(all.count(where: \.form.isTruncated), of: all.count),
            "malformed": Double(all.count { $0.verdict.outcome == .malformed }),
            "malformed_first_token": Double(all.count { $0.mode == nil }),
            "truncated_think": Double(think.count(where: \.form.isTruncated)),
            "truncated_short": Double(short.count(where: \.form.isTruncated)),
            "p_think_mean": mean(groups, \.firstToken.think),
            "p_think_entropy": mean(groups) { Self.binaryEntropy($0.firstToken) },
        ]
    }

    /// The share of thinking among the free rollouts of each level, `think_share_<level>`.
    var sharesByLevel: MetricRow {
        MetricRow(
            byLevel.compactMap { level, groups in
                guard let name = levelNames[level] else { return nil }
                let free = groups.flatMap(\.rollouts).filter { !$0.isForced }
                let share = free.isEmpty ? .nan : Double(free.count { $0.mode == .think }) / Double(free.count)
                return (name: "think_share_" + name, value: share)
            })
    }

    /// Mean P(`<think>`) and P(`<short>`) over the step's prompts, by level.
    var preferenceByLevel: [(level: String, pThink: Double, pShort: Double)] {
        let levels = byLevel.isEmpty ? [("", groups)] : byLevel
        return levels.map { level, groups in
            let count = Double(groups.count)
            return (
                level, groups.reduce(0) { $0 + $1.firstToken.think } / count,
                groups.reduce(0) { $0 + $1.firstToken.short } / count
            )
        }
    }

    private var byLevel: [(level: String, groups: [RolloutGroup])] {
        let levels = Dictionary(grouping: groups) { $0.problem.level ?? "" }.filter { levelNames[$0.key] != nil }
        return levels.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The entropy of the choice between the two modes, in nats.
    private static func binaryEntropy(_ p: (think: Double, short: Double)) -> Double {
        let sum = p.think + p.short
        guard sum > 0 else { return 0 }
        return [p.think / sum, p.short / sum].reduce(0) { $0 - ($1 > 0 ? $1 * log($1) : 0) }
    }
}
