import Foundation
import Surgery

/// The curve of a run on one screen.
struct CurveText {
    let curve: RunCurve

    var lines: [String] {
        var lines = [Style.bold(curve.path) + "  \(curve.run) run, \(states)"]
        if let first = curve.steps.first, let last = curve.steps.last {
            lines.append("  \(Format.counted(curve.steps.count, "step")) logged, \(first) to \(last)")
        }
        lines += findings
        lines += preference
        lines += weights
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
        return steps.count == 1 ? "1 state at step \(first)" : "\(steps.count) states, steps \(first) to \(last)"
    }

    private var findings: [String] {
        findingTexts.map { $0.hasPrefix("collapsed") ? Style.red("  " + $0) : "  " + $0 }
    }

    /// The most important facts about the curve.
    var findingTexts: [String] {
        var texts: [String] = []
        if let collapse = curve.collapse {
            texts.append(
                "collapsed into \(collapse.mode) mode at step \(collapse.step): "
                    + "over 98 % of responses from there on")
        }
        if let turn = curve.turn {
            let kind = turn.isPeak ? "peaked" : "was lowest"
            texts.append("share of thinking \(kind) at step \(turn.step) (\(Format.percent(turn.share)))")
        }
        return texts
    }

    private var preference: [String] {
        guard let preference = curve.preference, let first = preference.steps.first, let last = preference.steps.last
        else { return [] }
        var lines = [
            "",
            Style.bold("P(<think>)")
                + "  over \(Format.counted(preference.prompts.count, "probe prompt")), "
                + "\(Format.counted(preference.steps.count, "snapshot")), steps \(first) to \(last)",
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

    /// One line per layer or group of neighbouring layers: its change between the saved states.
    private var weights: [String] {
        guard let weights = curve.weights else { return [] }
        let steps = [weights.intervals.first?.from ?? 0] + weights.intervals.map(\.to)
        let changes = weights.layers.map { ($0, weights.changes(ofLayer: $0)) }
        guard let highest = changes.flatMap(\.1).filter(\.isFinite).max(), highest > 0 else {
            return ["", Style.bold("Weights") + "  did not move from step \(steps[0]) to \(steps[steps.count - 1])"]
        }
        var lines = [
            "",
            Style.bold("Which layers moved when") + "  ‖Δ‖/‖A‖ from each saved state to the next, on one scale",
            Style.faint("  " + Format.column("steps", 24) + " " + Self.intervals(steps)),
        ]
        let layers = changes.filter { $0.0 != nil }
        let size = (layers.count + 11) / 12
        var rows = changes.filter { $0.0 == nil }.map { ("embeddings, norm, head", $0.1) }
        for start in stride(from: 0, to: layers.count, by: max(size, 1)) {
            let group = layers[start..<min(start + size, layers.count)]
            let first = group.first?.0 ?? 0
            let name = group.count == 1 ? "layer \(first)" : "layers \(first)–\(first + group.count - 1)"
            let mean = weights.intervals.indices.map { interval in
                group.reduce(0) { $0 + $1.1[interval] } / Double(group.count)
            }
            rows.append((name, mean))
        }
        for (name, values) in rows {
            let most = values.indices.max { values[$0] < values[$1] } ?? 0
            lines.append(
                "  \(Format.column(name, 24)) \(TextPlot.strip(values, range: 0...highest))"
                    + (values[most] > 0
                        ? "  most \(Format.number(values[most])), steps \(steps[most])–\(steps[most + 1])"
                        : "  did not move"))
        }
        return lines
    }

    private static func intervals(_ steps: [Int]) -> String {
        steps.count <= 8 ? steps.map(String.init).joined(separator: " ") : "\(steps[0]) to \(steps[steps.count - 1])"
    }

    private static func line(_ name: String, _ values: [Double]) -> String {
        "  \(Format.column(name, 24)) \(TextPlot.strip(values, range: 0...1))"
            + "  \(ModePreferenceText.probability(values.first ?? .nan)) → "
            + ModePreferenceText.probability(values.last ?? .nan)
    }
}
