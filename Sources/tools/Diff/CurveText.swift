import Foundation
import Surgery

/// The course of a run on one screen.
struct CurveText {
    let curve: RunCurve

    var lines: [String] {
        var lines = [Style.bold(curve.path) + "  \(curve.run) run, \(states)"]
        if let first = curve.steps.first, let last = curve.steps.last {
            lines.append("  \(curve.steps.count) steps logged, \(first) to \(last)")
        }
        lines += findings
        lines += preference
        if !curve.series.isEmpty {
            lines += ["", Style.bold("Metrics")]
            var metrics = curve.series.map { ($0.name, $0.values) }
            let share = curve.thinkShare
            if !share.isEmpty { metrics.insert(("think share", share), at: 0) }
            lines += MetricText.lines(metrics, limit: 20)
        }
        return lines
    }

    var states: String {
        let steps = curve.states.map(\.step)
        guard let first = steps.first, let last = steps.last else { return "no states" }
        return steps.count == 1 ? "one state at step \(first)" : "\(steps.count) states, step \(first) to \(last)"
    }

    private var findings: [String] {
        findingTexts.map { $0.hasPrefix("collapsed") ? Style.red("  " + $0) : "  " + $0 }
    }

    /// What a person should know about the curve before looking at it.
    var findingTexts: [String] {
        var texts: [String] = []
        if let collapse = curve.collapse {
            texts.append("collapsed into \(collapse.mode) mode at step \(collapse.step): over 98 % of the responses")
        }
        if let turn = curve.turn {
            texts.append("use of thinking turned at step \(turn.step), at \(Format.percent(turn.share))")
        }
        return texts
    }

    private var preference: [String] {
        guard let preference = curve.preference, let first = preference.steps.first, let last = preference.steps.last
        else { return [] }
        var lines = [
            "",
            Style.bold("P(<think>)")
                + "  over \(preference.prompts.count) probe prompts, \(preference.steps.count) snapshots, step \(first) to \(last)",
        ]
        lines.append(Self.line("all", preference.meanThink()))
        if preference.levels.count > 1 {
            for level in preference.levels {
                lines.append(Self.line("level \(level)", preference.meanThink(level: level)))
            }
        }
        let histograms = preference.histograms()
        if let first = histograms.first, let last = histograms.last {
            lines.append(
                "  prompts by P, 0 to 1     \(TextPlot.sparkline(first.map(Double.init))) → "
                    + TextPlot.sparkline(last.map(Double.init)))
        }
        return lines
    }

    private static func line(_ name: String, _ values: [Double]) -> String {
        "  \(Format.column(name, 24)) \(TextPlot.sparkline(values, width: 30, range: 0...1))"
            + String(repeating: " ", count: max(0, 30 - values.count))
            + "  \(ModePreferenceText.probability(values.first ?? .nan)) → "
            + ModePreferenceText.probability(values.last ?? .nan)
    }
}
