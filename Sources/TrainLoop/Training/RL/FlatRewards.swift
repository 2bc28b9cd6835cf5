import CheckpointIO

/// Detects that a run has had nothing to learn from: in every group of several steps, all rewards were equal.
///
/// Like the `CollapseAlarm`, it has no state but the run's history.
struct FlatRewards {
    let promptsPerStep: Int
    private static let steps = 3

    /// The warning of a step that is the third in a row without any advantage; nil in others and after a warning.
    ///
    /// `groups` are those of the step's loss, `history` has the metrics of the steps before.
    func warning(_ groups: [RolloutGroup], after history: MetricHistory) -> String? {
        guard !groups.contains(where: \.hasSpread) else { return nil }
        let earlier = zip(history["zero_advantage_groups"] ?? [], history["refilled_groups"] ?? []).map {
            flat, refilled in
            flat == Double(promptsPerStep) + refilled
        }
        let lengths = earlier.reduce(into: [0]) { lengths, isFlat in
            lengths.append(isFlat ? lengths[lengths.count - 1] + 1 : 0)
        }
        guard lengths.last == Self.steps - 1, !lengths.contains(where: { $0 >= Self.steps }) else { return nil }
        let outcomes = groups.flatMap(\.rollouts).map(\.verdict.outcome)
        let counts = Outcome.allCases.map { outcome in (outcome, outcomes.count { $0 == outcome }) }
        let most = counts.max { $0.1 < $1.1 }?.0
        return
            "all advantages have been 0 for \(Self.steps) steps, because the rewards within every group are equal, so "
            + "nothing is learned; of the \(counted(outcomes.count, "answer")) of this step "
            + counts.map { "\($0.1) \($0.0.rawValue)" }.joined(separator: ", ") + ": " + Self.remedy(most)
    }

    private static func remedy(_ outcome: Outcome?) -> String {
        switch outcome {
        case .right: "give harder problems"
        case .malformed: "see the answers in rollouts/; give the --answer rule that fits, or warm the model up longer"
        case .truncated: "raise --max-new-tokens"
        case .wrong, nil: "give easier problems, more --samples, or warm the model up longer"
        }
    }
}
