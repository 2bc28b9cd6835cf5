import CheckpointIO
import Parallel
import Ranks
import Transformer

/// Mode preference on a fixed set of prompts: P(`<think>`) and P(`<short>`) as first response token.
///
/// Probabilities are at temperature 1 over the whole vocabulary, not renormalised (Thinkless, figure 5).
package enum ModeProbe {
    /// Chooses up to `count` problems that `fits` accepts at random, as evenly over the levels as possible.
    ///
    /// - Throws: the errors of `fits`.
    package static func choose(
        _ problems: [Problem], count: Int = 64, seed: UInt64, where fits: (Problem) throws -> Bool = { _ in true }
    ) throws -> [Problem] {
        var random = SplitMix64(seed: seed, keys: 0x9120BE)
        var byLevel: [String: [Problem]] = [:]
        for problem in problems { byLevel[problem.level ?? "", default: []].append(problem) }
        let levels = byLevel.keys.sorted()
        var queues = levels.map { byLevel[$0, default: []].shuffled(using: &random)[...] }
        var chosen: [(level: Int, problem: Problem)] = []
        while chosen.count < count, queues.contains(where: { !$0.isEmpty }) {
            for index in queues.indices where chosen.count < count {
                if let problem = queues[index].popFirst(), try fits(problem) { chosen.append((index, problem)) }
            }
        }
        return chosen.sorted { $0.level < $1.level }.map(\.problem)
    }

    /// A table without snapshots.
    static func emptyTable(_ problems: [Problem]) -> ProbeTable {
        ProbeTable(prompts: problems.map(\.promptText), levels: problems.map { $0.level ?? "" })
    }

    /// Appends the model's current preference, replacing a snapshot of the same step; ranks share the prompts.
    package static func record(
        _ table: inout ProbeTable, step: Int, encoder: PromptEncoder, model: Model, ranks: RankGroup = .alone
    ) throws {
        let prompts = try encoder.reader.prompts(
            for: table.prompts.enumerated().map { Problem(id: "\($0 + 1) of the probe", promptText: $1) })
        let probabilities = try ranks.share(prompts.count) { own in
            Generator(model).firstTokenProbabilities(
                own.map { prompts[$0] }, of: [encoder.control.think, encoder.control.short])
        }
        append(probabilities.map { ($0[0], $0[1]) }, to: &table, step: step)
    }

    /// Appends a snapshot, replacing one of the same step.
    static func append(_ probabilities: [(think: Double, short: Double)], to table: inout ProbeTable, step: Int) {
        if let last = table.steps.last, last == step {
            table.steps.removeLast()
            table.pThink.removeLast()
            table.pShort.removeLast()
        }
        table.steps.append(step)
        table.pThink.append(probabilities.map(\.think))
        table.pShort.append(probabilities.map(\.short))
    }
}

extension ProbeTable {
    /// Mean P(`<think>`) and P(`<short>`) of the latest snapshot by level, in the order of the prompts.
    var latestByLevel: [(level: String, pThink: Double, pShort: Double)] {
        guard let think = pThink.last, let short = pShort.last else { return [] }
        var sums: [(level: String, think: Double, short: Double, count: Double)] = []
        var places: [String: Int] = [:]
        for (index, level) in levels.enumerated() {
            if let place = places[level] {
                sums[place].think += think[index]
                sums[place].short += short[index]
                sums[place].count += 1
            } else {
                places[level] = sums.count
                sums.append((level, think[index], short[index], 1))
            }
        }
        return sums.map { ($0.level, $0.think / $0.count, $0.short / $0.count) }
    }
}
