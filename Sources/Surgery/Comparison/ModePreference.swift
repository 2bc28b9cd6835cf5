import CheckpointIO
import Foundation

/// How likely a model is to begin with `<think>`, over the prompts of a probe set, at two moments.
public struct ModePreferenceChange: Sendable {
    public struct Prompt: Sendable {
        public let text: String
        public let level: String
        public let thinkA: Double
        public let thinkB: Double
        public let shortA: Double
        public let shortB: Double

        /// Entropy in nats of the choice between the two modes; 0 where it is certain, 0.69 where it is open.
        public var entropyA: Double { Self.entropy(thinkA, shortA) }
        public var entropyB: Double { Self.entropy(thinkB, shortB) }

        private static func entropy(_ think: Double, _ short: Double) -> Double {
            let sum = think + short
            guard sum > 0 else { return sum.isNaN ? .nan : 0 }
            return [think / sum, short / sum].reduce(0) { $0 - ($1 > 0 ? $1 * log($1) : 0) }
        }

        /// Whether the likelier mode of A is not the likelier mode of B.
        public var changedSides: Bool { (thinkA > shortA) != (thinkB > shortB) }
    }

    public struct Level: Sendable {
        public let name: String
        public let promptCount: Int
        public let thinkA: Double
        public let thinkB: Double
    }

    public let stepA: Int
    public let stepB: Int
    public let prompts: [Prompt]
    /// In the order in which levels appear among the prompts, numbers sorted.
    public let levels: [Level]

    /// From the newest snapshot of the newest probe table that has the same prompts on both sides; nil if there is
    /// none.
    init?(_ a: CheckpointMetadata, _ b: CheckpointMetadata) {
        for right in b.probes.reversed() {
            guard let left = a.probes.last(where: { $0.prompts == right.prompts }) else { continue }
            guard let change = ModePreferenceChange(left, right) else { continue }
            self = change
            return
        }
        return nil
    }

    /// From the newest snapshots of two tables of the same prompts; nil where one has none.
    public init?(_ left: ProbeTable, _ right: ProbeTable) {
        guard let rightThink = right.pThink.last, let rightShort = right.pShort.last, let stepB = right.steps.last,
            let leftThink = left.pThink.last, let leftShort = left.pShort.last, let stepA = left.steps.last,
            left.prompts == right.prompts
        else { return nil }
        let count = right.prompts.count
        guard count > 0, right.levels.count == count,
            [rightThink, rightShort, leftThink, leftShort].allSatisfy({ $0.count == count })
        else { return nil }
        self.stepA = stepA
        self.stepB = stepB
        let prompts = (0..<count).map { index in
            Prompt(
                text: right.prompts[index], level: right.levels[index], thinkA: leftThink[index],
                thinkB: rightThink[index], shortA: leftShort[index], shortB: rightShort[index])
        }
        self.prompts = prompts
        levels = Self.levelNames(right.levels).map { name in
            let part = prompts.filter { $0.level == name }
            return Level(
                name: name, promptCount: part.count, thinkA: average(part.map(\.thinkA)),
                thinkB: average(part.map(\.thinkB)))
        }
    }

    /// Distinct names, sorted as numbers where they are numbers.
    static func levelNames(_ levels: [String]) -> [String] {
        Array(Set(levels)).sorted { left, right in
            if let a = Double(left), let b = Double(right), a != b { return a < b }
            return left < right
        }
    }

    public var meanThinkA: Double { average(prompts.map(\.thinkA)) }
    public var meanThinkB: Double { average(prompts.map(\.thinkB)) }
    public var meanShortA: Double { average(prompts.map(\.shortA)) }
    public var meanShortB: Double { average(prompts.map(\.shortB)) }
    public var meanEntropyA: Double { average(prompts.map(\.entropyA)) }
    public var meanEntropyB: Double { average(prompts.map(\.entropyB)) }
    public var changedSides: [Prompt] { prompts.filter(\.changedSides) }

    /// Counts of prompts by P(`<think>`), in `bins` equal bins from 0 to 1.
    public func histogram(bins: Int = 10) -> (a: [Int], b: [Int]) {
        (Self.histogram(prompts.map(\.thinkA), bins: bins), Self.histogram(prompts.map(\.thinkB), bins: bins))
    }

    static func histogram(_ values: [Double], bins: Int) -> [Int] {
        var counts = [Int](repeating: 0, count: bins)
        for value in values where value.isFinite {
            counts[min(max(Int(value * Double(bins)), 0), bins - 1)] += 1
        }
        return counts
    }
}

/// The mean of the finite values; NaN where there are none.
func average(_ values: [Double]) -> Double {
    let finite = values.filter(\.isFinite)
    return finite.isEmpty ? .nan : finite.reduce(0, +) / Double(finite.count)
}
