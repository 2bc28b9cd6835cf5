import OrderedJSON
import TrainLoop

/// How the mode choices of a second checkpoint differ from those of a first.
struct BeforeAfterText {
    let before: Evaluation
    let after: Evaluation

    /// A table by level and two example problems if there are several levels, then a summary.
    var lines: [String] {
        var lines = before.levels.count > 1 ? byLevel + [""] + twins : []
        lines.append(Style.bold(headline))
        if let verdict { lines.append(Style.red(verdict)) }
        return lines
    }

    private var byLevel: [String] {
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
                    + "\(Format.column(points(old.accuracy), 4, alignRight: true)) →"
                    + "\(Format.column(points(new.accuracy), 4, alignRight: true)) "
                    + "\(Format.column(Format.number(old.meanTokens), 5, alignRight: true)) →"
                    + Format.column(Format.number(new.meanTokens), 5, alignRight: true))
        }
        return lines
    }

    private func points(_ share: Double) -> String {
        share.isFinite ? String(Int(saturating: (share * 100).rounded())) : "–"
    }

    /// A decoy and a hard problem of the same length, with the model's answers.
    private var twins: [String] {
        func gain(_ level: String) -> Double {
            after.summary(.auto, level: level).pThink - before.summary(.auto, level: level).pThink
        }
        // The two levels with equally long problems whose preferences moved apart most.
        var best: (decoy: Int, hard: Int, distance: Double)?
        for decoyLevel in after.levels {
            for hardLevel in after.levels where gain(hardLevel) - gain(decoyLevel) > best?.distance ?? 0.2 {
                guard let pair = twinProblems(after, decoyLevel, hardLevel) else { continue }
                best = (pair.0, pair.1, gain(hardLevel) - gain(decoyLevel))
            }
        }
        guard let best else { return [] }
        var lines = ["two problems of equal length, each typical of its level, with the model's answers:"]
        for index in [best.decoy, best.hard] {
            guard let answer = after.answers.first(where: { $0.problem == index && $0.forced == nil }) else {
                continue
            }
            lines.append(
                "  \(after.problems[index].problem)  (\(after.problems[index].level ?? "")), "
                    + "P(<think>) \(Format.percent(after.firstToken[index].think))")
            lines.append(
                "    \(answer.text.replacing("\n", with: "⏎"))  "
                    + "\(answer.isRight(by: after.options.rule) ? "right" : "wrong"), "
                    + Format.counted(answer.tokenCount, "token"))
        }
        return lines + [""]
    }

    /// Two problems with equally long texts: the median of one level by P(`<think>`), and the median of the matching
    /// problems of the other level.
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

    private var headline: String {
        let (old, new) = (before.summary(.auto), after.summary(.auto))
        var line =
            "think \(Format.percent(old.thinkShare)) → \(Format.percent(new.thinkShare)), "
            + "tokens \(signedPercent(new.meanTokens / old.meanTokens - 1)), "
            + "accuracy \(Format.percent(old.accuracy, decimals: 1)) → \(Format.percent(new.accuracy, decimals: 1))"
        if after.options.conditions.contains(.think) {
            let always = before.summary(.think)
            line += " (always thinking: \(Format.percent(always.accuracy, decimals: 1)))"
            line += "\ncompared with always thinking: tokens \(signedPercent(new.meanTokens / always.meanTokens - 1))"
        }
        return line
    }

    private func signedPercent(_ share: Double) -> String {
        (share >= 0 ? "+" : "−") + Format.percent(abs(share))
    }

    /// A warning if the mode choices do not depend on the level or cost accuracy.
    private var verdict: String? {
        let shares = after.levels.map { after.summary(.auto, level: $0).pThink }
        let spread = (shares.max() ?? 0) - (shares.min() ?? 0)
        if after.levels.count > 1, spread < 0.5 {
            return "no effect: P(<think>) differs by only \(Format.percent(spread)) between levels"
        }
        if after.options.conditions.contains(.think),
            after.summary(.auto).accuracy < before.summary(.think).accuracy - 0.05
        {
            return "the mode choices cost accuracy: \(Format.percent(after.summary(.auto).accuracy, decimals: 1)) "
                + "instead of \(Format.percent(before.summary(.think).accuracy, decimals: 1)) with always thinking"
        }
        return nil
    }
}
