import CheckpointIO
import Parallel
import Transformer

/// Mode preference over a fixed set of prompts: P(`<think>`) and P(`<short>`) as first response token, at
/// temperature 1 over the whole vocabulary, not renormalised (Thinkless, figure 5).
public enum ModeProbe {
    /// Chooses up to `count` problems, as evenly over the levels as their numbers allow, in the order of `seed`.
    public static func choose(_ problems: [Problem], count: Int = 64, seed: UInt64) -> [Problem] {
        var random = SplitMix64(seed: seed, keys: 0x9120BE)
        var byLevel: [String: [Problem]] = [:]
        for problem in problems { byLevel[problem.level ?? "", default: []].append(problem) }
        let levels = byLevel.keys.sorted()
        var queues = levels.map { byLevel[$0]!.shuffled(using: &random)[...] }
        var chosen: [(level: Int, problem: Problem)] = []
        while chosen.count < count, queues.contains(where: { !$0.isEmpty }) {
            for index in queues.indices where chosen.count < count {
                if let problem = queues[index].popFirst() { chosen.append((index, problem)) }
            }
        }
        return chosen.sorted { $0.level < $1.level }.map(\.problem)
    }

    /// A table without snapshots.
    public static func emptyTable(_ problems: [Problem]) -> ProbeTable {
        ProbeTable(prompts: problems.map(\.problem), levels: problems.map { $0.level ?? "" })
    }

    /// Appends the model's preference now. A snapshot that the table already has for `step` is replaced.
    public static func record(
        _ table: inout ProbeTable, step: Int, encoder: PromptEncoder, parameters: ModelParameters
    ) throws {
        let prompts = try table.prompts.map(encoder.prompt(for:))
        let probabilities = Generator(parameters).firstTokenProbabilities(
            prompts, of: [encoder.control.think, encoder.control.short])
        if let last = table.steps.last, last == step {
            table.steps.removeLast()
            table.pThink.removeLast()
            table.pShort.removeLast()
        }
        table.steps.append(step)
        table.pThink.append(probabilities.map { $0[0] })
        table.pShort.append(probabilities.map { $0[1] })
    }
}

extension ProbeTable {
    /// Mean P(`<think>`) of the newest snapshot by level, levels in the order of the prompts.
    public var latestByLevel: [(level: String, pThink: Double, pShort: Double)] {
        guard let think = pThink.last, let short = pShort.last else { return [] }
        var order: [String] = []
        var sums: [String: (think: Double, short: Double, count: Double)] = [:]
        for (index, level) in levels.enumerated() {
            if sums[level] == nil { order.append(level) }
            let sum = sums[level] ?? (0, 0, 0)
            sums[level] = (sum.think + think[index], sum.short + short[index], sum.count + 1)
        }
        return order.map { level in
            let sum = sums[level]!
            return (level, sum.think / sum.count, sum.short / sum.count)
        }
    }
}
