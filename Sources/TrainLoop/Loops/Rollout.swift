import OrderedJSON
import Transformer

/// One sampled response with what became of it.
public struct Rollout: Sendable {
    /// Index of its prompt in the step's prompts: its group.
    public var group: Int
    public var sample: Int
    public var problem: Problem
    public var sequence: TrainingSequence
    /// Of the sampled tokens, at the rollout's temperature.
    public var logProbabilities: [Float]
    public var form: ResponseForm
    public var verdict: Verdict
    public var advantage: Double

    public var mode: Mode? { form.mode }
    public var isCorrect: Bool { verdict.outcome == .right }
    public var tokenCount: Int { sequence.response.count }

    /// The row of the rollout log.
    func json(step: Int, encoder: PromptEncoder) -> JSON {
        [
            "step": .integer(step), "id": .string(problem.id), "level": problem.level.map { .string($0) } ?? .null,
            "sample": .integer(sample), "problem": .string(problem.problem),
            "answer": problem.answer.map { .string($0) } ?? .null,
            "completion": .string(encoder.text(of: sequence.response)),
            "mode": mode.map { .string($0.rawValue) } ?? .null, "outcome": .string(verdict.outcome.rawValue),
            "defect": verdict.defect.map { .string($0.rawValue) } ?? .null,
            "found": verdict.answer.map { .string($0) } ?? .null, "reward": .double(verdict.reward),
            "advantage": .double(advantage), "tokens": .integer(tokenCount), "truncated": .bool(form.isTruncated),
        ]
    }
}

/// What a step's rollouts say, by the names that Thinkless and verl use where they have one.
struct RolloutMetrics {
    /// - Parameter groups: how many prompts were sampled.
    static func rows(_ rollouts: [Rollout], groups: Int) -> [(name: String, value: Double)] {
        let think = rollouts.filter { $0.mode == .think }
        let short = rollouts.filter { $0.mode == .short }
        let byGroup = Dictionary(grouping: rollouts, by: \.group).values
        func groupCount(_ condition: ([Rollout]) -> Bool) -> Double { Double(byGroup.count(where: condition)) }
        func share(_ part: Int, of whole: Int) -> Double { whole == 0 ? .nan : Double(part) / Double(whole) }
        func mean(_ items: [Rollout], _ value: (Rollout) -> Double) -> Double {
            items.isEmpty ? .nan : items.reduce(0) { $0 + value($1) } / Double(items.count)
        }
        return [
            ("num_think", Double(think.count)), ("num_short", Double(short.count)),
            ("acc_think", share(think.count(where: \.isCorrect), of: think.count)),
            ("acc_short", share(short.count(where: \.isCorrect), of: short.count)),
            ("acc", share(rollouts.count(where: \.isCorrect), of: rollouts.count)),
            ("all_correct_think", groupCount { $0.allSatisfy { $0.isCorrect && $0.mode == .think } }),
            ("all_correct_short", groupCount { $0.allSatisfy { $0.isCorrect && $0.mode == .short } }),
            ("all_wrong", groupCount { $0.allSatisfy { !$0.isCorrect } }),
            ("zero_advantage_groups", groupCount { $0.allSatisfy { $0.advantage == 0 } }),
            ("reward_mean", mean(rollouts, \.verdict.reward)),
            ("response_length_mean", mean(rollouts) { Double($0.tokenCount) }),
            ("response_length_max", Double(rollouts.map(\.tokenCount).max() ?? 0)),
            ("response_length_think", mean(think) { Double($0.tokenCount) }),
            ("response_length_short", mean(short) { Double($0.tokenCount) }),
            ("clip_ratio", share(rollouts.count(where: \.form.isTruncated), of: rollouts.count)),
            ("malformed", Double(rollouts.count { $0.verdict.outcome == .malformed })),
            ("truncated_think", Double(think.count(where: \.form.isTruncated))),
            ("truncated_short", Double(short.count(where: \.form.isTruncated))),
        ]
    }

    /// Share of think among the rollouts of each level, `think_share/<level>`.
    static func shares(byLevel rollouts: [Rollout]) -> [(name: String, value: Double)] {
        let byLevel = Dictionary(grouping: rollouts) { $0.problem.level ?? "" }
        return byLevel.keys.filter { !$0.isEmpty }.sorted().map { level in
            let members = byLevel[level]!
            return ("think_share_\(level)", Double(members.count { $0.mode == .think }) / Double(members.count))
        }
    }
}
