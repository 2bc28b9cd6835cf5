import Foundation
import Surgery

/// Two runs side by side: each metric that both have, with one line per run.
struct OverlayText {
    let a: RunCurve
    let b: RunCurve

    var lines: [String] {
        var lines: [String] = []
        for (name, curve) in [("A", a), ("B", b)] {
            let text = CurveText(curve: curve)
            lines.append(Style.bold("\(name)  \(curve.path)") + "  \(curve.run) run, \(text.states)")
            lines += text.findingTexts.map { "   \($0)" }
        }
        if let left = a.preference, let right = b.preference {
            lines += ["", Style.bold("P(<think>)") + "  mean over each run's probe prompts"]
            lines += pair("all", left.meanThink(), right.meanThink(), range: 0...1)
            for level in left.levels where left.levels.count > 1 && right.levels.contains(level) {
                lines += pair(
                    "level \(level)", left.meanThink(level: level), right.meanThink(level: level), range: 0...1)
            }
        }
        lines += ["", Style.bold("Metrics")]
        if !a.thinkShare.isEmpty, !b.thinkShare.isEmpty {
            lines += pair("think share", a.thinkShare, b.thinkShare, range: 0...1)
        }
        let names = MetricText.sorted(a.series.map(\.name).filter { b[$0] != nil })
        for name in names.prefix(8) { lines += pair(name, a[name] ?? [], b[name] ?? []) }
        if names.count > 8 { lines.append("  … \(names.count - 8) more in --json and --html") }
        return lines
    }

    /// The lines of both runs, drawn on one scale so that their heights can be compared.
    private func pair(
        _ name: String, _ left: [Double], _ right: [Double], range: ClosedRange<Double>? = nil
    ) -> [String] {
        let finite = (left + right).filter(\.isFinite)
        guard let lowest = finite.min(), let highest = finite.max() else { return [] }
        let range = range ?? lowest...highest
        return [("A", left), ("B", right)].map { label, values in
            let shown = values.filter(\.isFinite)
            return "  \(Format.column(label == "A" ? name : "", 22)) \(label) "
                + "\(TextPlot.strip(values, range: range))"
                + "  \(Format.number(shown.first ?? .nan)) → \(Format.number(shown.last ?? .nan))"
        }
    }
}
