/// Advantages: how much better a response did than the other responses to the same prompt.
public enum Advantages {
    /// What the difference from the group's mean is divided by; the raw value is the name on the command line.
    public enum Scale: String, Sendable, CaseIterable {
        /// Nothing: A_i = r_i − mean(r), as in Thinkless and Dr. GRPO.
        case none
        /// The group's standard deviation (ddof 1) + 1e-6, as in GRPO.
        case standardDeviation = "std"
    }

    /// The advantages of one group, in the order of its rewards.
    ///
    /// They are exactly 0 for a group of one and for a group whose rewards are all equal: such a group gives no reason
    /// to prefer any response, and a rounding error must not move any weight.
    public static func ofGroup(_ rewards: [Double], scale: Scale = .none) -> [Double] {
        guard let first = rewards.first, rewards.contains(where: { $0 != first }) else {
            return [Double](repeating: 0, count: rewards.count)
        }
        let mean = rewards.reduce(0, +) / Double(rewards.count)
        let differences = rewards.map { $0 - mean }
        switch scale {
        case .none: return differences
        case .standardDeviation:
            let squares = differences.reduce(0) { $0 + $1 * $1 }
            let deviation = (squares / Double(rewards.count - 1)).squareRoot()
            return differences.map { $0 / (deviation + 1e-6) }
        }
    }
}
