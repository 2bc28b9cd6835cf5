import Foundation
import Surgery

/// Two runs side by side: which ended better, then each metric that both have, with one line per run.
struct OverlayText {
    let a: RunCurve
    let b: RunCurve
    /// The cells of a line.
    var width = Terminal.outputColumns

    var ranking: RankingText { RankingText(ranking: RunRanking(a.story, b.story)) }

    var lines: [String] {
        var lines = [Style.bold(Style.green(ranking.headline))] + ranking.sentences.map { "  " + $0 }
        for (name, curve) in [("A", a), ("B", b)] {
            let text = CurveText(curve: curve)
            lines += ["", Style.bold("\(name)  \(curve.path)") + "  \(curve.run) run, \(text.states)"]
            lines += ["  " + text.storyText.title] + text.findingTexts.map { "  \($0)" }
        }
        if let left = a.preference, let right = b.preference {
            lines += ["", Style.bold("P(\(left.modes.think))") + "  mean over each run's probe prompts"]
            lines += pair(
                "all", left.meanThink(), right.meanThink(), range: 0...1, number: ModePreferenceText.probability)
            for level in left.levels where left.levels.count > 1 && right.levels.contains(level) {
                lines += pair(
                    "level \(level)", left.meanThink(level: level), right.meanThink(level: level), range: 0...1,
                    number: ModePreferenceText.probability)
            }
        }
        lines += ["", Style.bold("Metrics")]
        if !a.thinkShare.isEmpty, !b.thinkShare.isEmpty {
            lines += pair(
                "think share", a.thinkShare, b.thinkShare, range: 0...1, number: MetricText.number("think share"))
        }
        let names = MetricText.sorted(a.series.map(\.name).filter { b[$0] != nil })
        let shown = MetricText.Group.allCases.filter { $0 != .time }.flatMap { group in
            names.filter { MetricText.Group($0) == group }.prefix(3)
        }
        for name in shown {
            lines += pair(MetricText.title(name), a[name] ?? [], b[name] ?? [], number: MetricText.number(name))
        }
        if names.count > shown.count { lines.append("  … \(names.count - shown.count) more in --json and --html") }
        return lines
    }

    /// The lines of both runs, drawn on one scale so that their heights can be compared.
    private func pair(
        _ name: String, _ left: [Double], _ right: [Double], range: ClosedRange<Double>? = nil,
        number: (Double) -> String
    ) -> [String] {
        let finite = (left + right).filter(\.isFinite)
        guard let lowest = finite.min(), let highest = finite.max() else { return [] }
        let layout = StripLayout(width: width, name: 22)
        return [("A", left), ("B", right)].map { label, values in
            let title = Format.column(label == "A" ? name : "", layout.nameWidth - 2) + " " + label
            return layout.line(title, values, range: range ?? lowest...highest, number: number)
        }
    }
}
