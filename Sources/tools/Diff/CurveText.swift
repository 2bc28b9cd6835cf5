import Foundation
import Surgery

/// The curve of a run on one screen.
struct CurveText {
    let curve: RunCurve
    /// The cells of a line.
    var width = Terminal.outputColumns

    var lines: [String] {
        var lines = [storyText.title, Style.bold("  " + curve.path) + "  \(curve.run) run, \(states)"]
        lines += findingTexts.map { "  " + $0 }
        lines += preference
        lines += weights
        if !curve.series.isEmpty {
            lines += ["", Style.bold("Metrics") + "  \(steps), first → last"]
            var metrics = curve.series.map { ($0.name, $0.values) }
            let share = curve.thinkShare
            if !share.isEmpty { metrics.insert(("think share", share), at: 0) }
            lines += MetricText.lines(metrics, width: width)
        }
        return lines
    }

    private var steps: String {
        guard let first = curve.steps.first, let last = curve.steps.last else { return "no steps" }
        return curve.steps.count == 1
            ? "step \(first)" : "\(Format.counted(curve.steps.count, "step")), \(first) to \(last)"
    }

    var states: String {
        let steps = curve.states.map(\.step)
        guard let first = steps.first, let last = steps.last else { return "no states" }
        return steps.count == 1 ? "1 state at step \(first)" : "\(steps.count) states, steps \(first) to \(last)"
    }

    var storyText: StoryText { StoryText(story: curve.story, collapse: curve.collapse, modes: curve.preference?.modes) }

    /// The most important facts about the curve.
    var findingTexts: [String] {
        [LineageText.origin(curve.lineage)].compactMap(\.self) + storyText.sentences + turnText
    }

    /// Where the share of thinking turned, if it did.
    var turnText: [String] {
        guard let turn = curve.turn else { return [] }
        let kind = turn.isPeak ? "peaked" : "was lowest"
        return ["share of thinking \(kind) at step \(turn.step) (\(Format.percent(turn.share)))"]
    }

    private var preference: [String] {
        guard let preference = curve.preference, let first = preference.steps.first, let last = preference.steps.last
        else { return [] }
        let snapshots =
            first == last
            ? "at step \(first)"
            : "\(Format.counted(preference.steps.count, "snapshot")), steps \(first) to \(last)"
        var lines = [
            "",
            Style.bold("P(\(preference.modes.think))")
                + "  over \(Format.counted(preference.prompts.count, "probe prompt")), \(snapshots)",
        ]
        let layout = StripLayout(width: width)
        func line(_ name: String, _ values: [Double]) -> String {
            layout.line(name, values, range: 0...1, number: ModePreferenceText.probability)
        }
        lines.append(line("all", preference.meanThink()))
        if preference.levels.count > 1 {
            for level in preference.levels { lines.append(line("level \(level)", preference.meanThink(level: level))) }
        }
        let histograms = preference.histograms()
        if let first = histograms.first, let last = histograms.last {
            lines.append(
                "  " + Format.column("prompts by P, 0 to 1", max(layout.nameWidth, 20)) + " "
                    + TextPlot.sparkline(first.map(Double.init))
                    + (histograms.count > 1 ? " → " + TextPlot.sparkline(last.map(Double.init)) : ""))
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
        let layout = StripLayout(width: width, text: 2 + "most 0.0123, steps –".count + 2 * "\(steps.last ?? 0)".count)
        var lines = [
            "",
            Style.bold("Which layers moved when") + "  ‖Δ‖/‖A‖ from each saved state to the next, on one scale",
            Style.faint(
                "  " + Format.column("steps", layout.nameWidth) + " "
                    + Self.intervals(steps, width: width - layout.nameWidth - 3)),
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
            let text =
                values[most] > 0
                ? "most \(Format.value(values[most])), steps \(steps[most])–\(steps[most + 1])" : "did not move"
            lines.append(
                values.count == 1
                    ? "  " + Format.column(name, layout.nameWidth) + " " + Format.value(values[0])
                    : layout.line(name, values, range: 0...highest, text: text))
        }
        return lines
    }

    private static func intervals(_ steps: [Int], width: Int) -> String {
        let all = steps.map(String.init).joined(separator: " ")
        return all.count <= width ? all : "\(steps[0]) to \(steps[steps.count - 1])"
    }
}
