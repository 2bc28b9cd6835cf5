/// How much better than its group a response did.
public enum Advantages {
    /// What the difference to the group's mean is divided by. The raw value is the name on the command line.
    public enum Scale: String, Sendable, CaseIterable {
        /// Nothing: r − mean(r), as the method does.
        case none
        /// The group's standard deviation (ddof 1) + 1e-6.
        case standardDeviation = "std"
    }

    /// The advantages of one group, in the order of its rewards.
    ///
    /// A group of one and a group whose rewards are all equal have advantages of exactly 0: what they sampled says
    /// nothing about which response is better, and a residue of rounding must not move any weight.
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

    /// The advantages of samples in any order, each group by itself.
    ///
    /// - Parameter groups: the group of every sample, as long as `rewards`.
    public static func ofSamples(rewards: [Double], groups: [Int], scale: Scale = .none) -> [Double] {
        var members: [Int: [Int]] = [:]
        for (index, group) in groups.prefix(rewards.count).enumerated() { members[group, default: []].append(index) }
        var advantages = [Double](repeating: 0, count: rewards.count)
        for indices in members.values {
            for (index, value) in zip(indices, ofGroup(indices.map { rewards[$0] }, scale: scale)) {
                advantages[index] = value
            }
        }
        return advantages
    }
}
