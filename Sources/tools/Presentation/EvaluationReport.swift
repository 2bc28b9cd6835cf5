import OrderedJSON
import TrainLoop

/// What an evaluation found, of one checkpoint or of one before and one after.
struct EvaluationReport {
    let names: [String]
    let results: [Evaluation]
    let conditions: [Evaluation.Condition]

    var text: String { results.count == 2 && conditions.contains(.auto) ? comparison : tables }

    // MARK: One checkpoint

    private var tables: String {
        var lines: [String] = []
        for (name, result) in zip(names, results) {
            lines.append(Style.bold(name))
            for condition in conditions {
                let title = condition == .auto ? "free choice" : "forced \(condition.rawValue)"
                lines.append("  \(Format.column(title, 14)) accuracy   tokens   think   P(<think>)")
                for level in result.levels where result.levels.count > 1 {
                    lines.append(row(level, result.summary(condition, level: level)))
                }
                lines.append(row("all", result.summary(condition)))
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func row(_ name: String, _ summary: Evaluation.Summary) -> String {
        "    \(Format.column(name, 12)) \(Format.column(Format.percent(summary.accuracy, decimals: 1), 8, alignRight: true))"
            + " \(Format.column(Format.number(summary.meanTokens), 8, alignRight: true))"
            + " \(Format.column(Format.percent(summary.thinkShare), 7, alignRight: true))"
            + "   \(TextPlot.bar(summary.pThink, width: 10)) \(Format.percent(summary.pThink))"
    }

    // MARK: Before and after

    private var comparison: String {
        let (before, after) = (results[0], results[1])
        var lines = [
            Style.bold(
                "level  example            P(<think>) before → after            accuracy      tokens")
        ]
        for level in before.levels {
            let (old, new) = (before.summary(.auto, level: level), after.summary(.auto, level: level))
            let example = before.problems.first { ($0.level ?? "") == level }?.problem ?? ""
            lines.append(
                "\(Format.column(level, 6)) \(Format.column(example, 16))  "
                    + "\(TextPlot.bar(old.pThink, width: 8)) → \(TextPlot.bar(new.pThink, width: 8)) "
                    + "\(Format.column(Format.percent(old.pThink), 5, alignRight: true)) → "
                    + "\(Format.column(Format.percent(new.pThink), 5, alignRight: true)) "
                    + "\(Format.column(points(old.accuracy), 4, alignRight: true)) →\(Format.column(points(new.accuracy), 4, alignRight: true)) "
                    + "\(Format.column(Format.number(old.meanTokens), 5, alignRight: true)) →\(Format.column(Format.number(new.meanTokens), 5, alignRight: true))"
            )
        }
        lines.append("")
        lines += twins(before, after)
        lines.append(Style.bold(headline(before, after)))
        if let warning = verdict(before, after) { lines.append(Style.red(warning)) }
        return lines.joined(separator: "\n") + "\n"
    }

    private func points(_ share: Double) -> String { share.isFinite ? String(Int((share * 100).rounded())) : "–" }

    /// A decoy beside a hard problem of the same length, with what the model now answers to each.
    private func twins(_ before: Evaluation, _ after: Evaluation) -> [String] {
        func gain(_ level: String) -> Double {
            after.summary(.auto, level: level).pThink - before.summary(.auto, level: level).pThink
        }
        // The two levels of equally long prompts whose preference moved furthest apart.
        var best: (decoy: Int, hard: Int, distance: Double)?
        for decoyLevel in after.levels {
            for hardLevel in after.levels where gain(hardLevel) - gain(decoyLevel) > best?.distance ?? 0.2 {
                guard let pair = twinProblems(after, decoyLevel, hardLevel) else { continue }
                best = (pair.0, pair.1, gain(hardLevel) - gain(decoyLevel))
            }
        }
        guard let best else { return [] }
        var lines = ["two problems of equal length, each typical of its level, and what the model answers:"]
        for index in [best.decoy, best.hard] {
            guard let answer = after.answers.first(where: { $0.problem == index && $0.condition == .auto }) else {
                continue
            }
            lines.append(
                "  \(after.problems[index].problem)  (\(after.problems[index].level ?? "")), "
                    + "P(<think>) \(Format.percent(after.firstToken[index].think))")
            lines.append(
                "    \(answer.text.replacing("\n", with: "⏎"))  \(answer.isCorrect ? "right" : "wrong"), \(answer.tokenCount) tokens"
            )
        }
        return lines + [""]
    }

    /// The typical problem of one level, by P(`<think>`), and the typical one of another among those whose texts have
    /// the same number of characters.
    private func twinProblems(_ result: Evaluation, _ first: String, _ second: String) -> (Int, Int)? {
        func ranked(_ level: String) -> [Int] {
            result.problems.indices.filter { (result.problems[$0].level ?? "") == level }
                .sorted { result.firstToken[$0].think < result.firstToken[$1].think }
        }
        let candidates = ranked(first)
        guard !candidates.isEmpty else { return nil }
        let chosen = candidates[candidates.count / 2]
        let length = result.problems[chosen].problem.count
        let twins = ranked(second).filter { result.problems[$0].problem.count == length }
        return twins.isEmpty ? nil : (chosen, twins[twins.count / 2])
    }

    private func headline(_ before: Evaluation, _ after: Evaluation) -> String {
        let (old, new) = (before.summary(.auto), after.summary(.auto))
        var line =
            "think \(Format.percent(old.thinkShare)) → \(Format.percent(new.thinkShare)), "
            + "tokens \(signedPercent(new.meanTokens / old.meanTokens - 1)), "
            + "accuracy \(Format.percent(old.accuracy, decimals: 1)) → \(Format.percent(new.accuracy, decimals: 1))"
        if conditions.contains(.think) {
            let always = before.summary(.think)
            line += " (always-think \(Format.percent(always.accuracy, decimals: 1)))"
            line += "\nagainst always-think: tokens \(signedPercent(new.meanTokens / always.meanTokens - 1))"
        }
        return line
    }

    private func signedPercent(_ share: Double) -> String {
        (share >= 0 ? "+" : "−") + Format.percent(abs(share))
    }

    /// Says so where the choice of mode does not follow what a level needs.
    private func verdict(_ before: Evaluation, _ after: Evaluation) -> String? {
        let shares = after.levels.map { after.summary(.auto, level: $0).pThink }
        let spread = (shares.max() ?? 0) - (shares.min() ?? 0)
        if after.levels.count > 1, spread < 0.5 {
            return "the effect did not show: P(<think>) differs by only \(Format.percent(spread)) between levels"
        }
        if conditions.contains(.think), after.summary(.auto).accuracy < before.summary(.think).accuracy - 0.05 {
            return "the choice costs accuracy: \(Format.percent(after.summary(.auto).accuracy, decimals: 1)) against "
                + "\(Format.percent(before.summary(.think).accuracy, decimals: 1)) when always thinking"
        }
        return nil
    }

    // MARK: Gate and JSON

    /// What the last checkpoint falls short of; empty where it meets all.
    func shortfalls(thinkAccuracy: Double?, modeShare: Double?) -> [String] {
        guard let result = results.last else { return [] }
        var shortfalls: [String] = []
        if let thinkAccuracy {
            let found = result.summary(.think).accuracy
            if !(found >= thinkAccuracy) {
                shortfalls.append(
                    "forced thinking is right in \(Format.percent(found, decimals: 1)), "
                        + "\(Format.percent(thinkAccuracy, decimals: 1)) are needed")
            }
        }
        if let modeShare {
            let summary = result.summary(.auto)
            for (mode, found) in [(Mode.think, summary.thinkShare), (.short, summary.shortShare)]
            where !(found >= modeShare) {
                shortfalls.append(
                    "\(mode.rawValue) is chosen in \(Format.percent(found, decimals: 1)), "
                        + "\(Format.percent(modeShare, decimals: 1)) are needed")
            }
        }
        return shortfalls
    }

    var json: JSON {
        .array(
            zip(names, results).map { name, result in
                var rows: [JSON] = []
                for condition in conditions {
                    for level in [nil] + result.levels.map(Optional.some) {
                        let summary = result.summary(condition, level: level)
                        rows.append([
                            "condition": .string(condition.rawValue), "level": level.map { .string($0) } ?? .null,
                            "answers": .integer(summary.count), "accuracy": .double(summary.accuracy),
                            "mean_tokens": .double(summary.meanTokens), "think_share": .double(summary.thinkShare),
                            "short_share": .double(summary.shortShare), "p_think": .double(summary.pThink),
                        ])
                    }
                }
                return ["checkpoint": .string(name), "problems": .integer(result.problems.count), "rows": .array(rows)]
            })
    }
}
