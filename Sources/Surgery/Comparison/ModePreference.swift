import CheckpointIO
import Foundation
import OrderedJSON

/// How the probability of starting with `<think>` changed between two snapshots of a probe set.
package struct ModePreferenceChange: Sendable {
    package struct Prompt: Sendable {
        package let text: String
        package let level: String
        package let thinkA: Double
        package let thinkB: Double
        package let shortA: Double
        package let shortB: Double

        /// The entropy in nats of the choice between the modes, 0 (certain) to 0.69 (even), in A.
        package var entropyA: Double { Self.entropy(thinkA, shortA) }
        /// The entropy in nats of the choice between the modes in B.
        package var entropyB: Double { Self.entropy(thinkB, shortB) }

        private static func entropy(_ think: Double, _ short: Double) -> Double {
            let sum = think + short
            guard sum > 0 else { return sum.isNaN ? .nan : 0 }
            return [think / sum, short / sum].reduce(0) { $0 - ($1 > 0 ? $1 * log($1) : 0) }
        }

        /// Whether A and B prefer different modes.
        package var changedSides: Bool { (thinkA > shortA) != (thinkB > shortB) }
    }

    package struct Level: Sendable {
        package let name: String
        package let promptCount: Int
        package let thinkA: Double
        package let thinkB: Double
    }

    package let stepA: Int
    package let stepB: Int
    package let prompts: [Prompt]
    /// Sorted by name, numerically if possible.
    package let levels: [Level]

    /// Compares the newest snapshots of the newest probe table with equal prompts on both sides; nil if there is none.
    init?(_ a: CheckpointMetadata, _ b: CheckpointMetadata) {
        for right in b.probes.reversed() {
            guard let left = a.probes.last(where: { $0.prompts == right.prompts }) else { continue }
            guard let change = ModePreferenceChange(left, right) else { continue }
            self = change
            return
        }
        return nil
    }

    /// Compares the newest snapshots of two tables; nil if one is empty or their prompts differ.
    package init?(_ left: ProbeTable, _ right: ProbeTable) {
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

    /// The distinct names, sorted numerically if possible.
    static func levelNames(_ levels: [String]) -> [String] {
        Array(Set(levels)).sorted { left, right in
            if let a = Double(left), let b = Double(right), a != b { return a < b }
            return left < right
        }
    }

    package var meanThinkA: Double { average(prompts.map(\.thinkA)) }
    package var meanThinkB: Double { average(prompts.map(\.thinkB)) }
    package var meanShortA: Double { average(prompts.map(\.shortA)) }
    package var meanShortB: Double { average(prompts.map(\.shortB)) }
    package var meanEntropyA: Double { average(prompts.map(\.entropyA)) }
    package var meanEntropyB: Double { average(prompts.map(\.entropyB)) }
    package var changedSides: [Prompt] { prompts.filter(\.changedSides) }

    /// The number of prompts by P(`<think>`), in `bins` equal bins from 0 to 1.
    package func histogram(bins: Int = 10) -> (a: [Int], b: [Int]) {
        (Self.histogram(prompts.map(\.thinkA), bins: bins), Self.histogram(prompts.map(\.thinkB), bins: bins))
    }

    static func histogram(_ values: [Double], bins: Int) -> [Int] {
        var counts = [Int](repeating: 0, count: bins)
        for value in values where value.isFinite {
            counts[min(max(Int(saturating: value * Double(bins)), 0), bins - 1)] += 1
        }
        return counts
    }
}
