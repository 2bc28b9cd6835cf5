import Foundation
import OrderedJSON
import Surgery

/// The HTML page of one run, or of two runs drawn over each other.
struct CurvePage {
    let curves: [RunCurve]

    var html: String {
        let names = curves.map { ComparisonPage.name($0.path) }
        var sections: [(heading: String, html: String)] = [("Verdict", verdict)]
        sections.append(("Modes", grid(modeCharts)))
        let mode = curves.lazy.compactMap(\.preference).first?.modes.think ?? "<think>"
        sections.append(("P(\(mode)) on the probe prompts", preference))
        sections.append(
            ("Which layers moved when", curves.compactMap(\.weights).map(WeightMaps.byLayerAndTime).joined()))
        sections.append(("All metrics", allMetrics))
        for (index, curve) in curves.enumerated() {
            let suffix = curves.count > 1 ? " of \(label(index))" : ""
            sections.append(("States" + suffix, states(curve)))
            sections.append(("Options" + suffix, options(curve)))
            sections.append(("Lineage" + suffix, PageLineage.html(curve.lineage, curve.states.last?.digest ?? "")))
        }
        return PageFrame(title: names.joined(separator: " and "), sections: sections).html
    }

    private func label(_ index: Int) -> String { curves.count > 1 ? ["A", "B"][min(index, 1)] : "" }

    private var verdict: String {
        var ranking = ""
        if curves.count == 2 {
            let text = RankingText(ranking: RunRanking(curves[0].story, curves[1].story))
            ranking =
                "<p class=\"verdict\">\(HTML.escape(text.headline.prefix(1).uppercased() + text.headline.dropFirst()))</p>"
                + HTML.paragraphs(text.sentences)
        }
        return ranking
            + curves.enumerated().map { index, curve in
                let text = CurveText(curve: curve)
                let name = curves.count > 1 ? "<h3>\(label(index)): \(HTML.escape(curve.path))</h3>" : ""
                return name + StoryPage.html(text.storyText, origin: LineageText.origin(curve.lineage))
                    + HTML.paragraphs(text.turnText + ["\(curve.run) run, \(text.states)"])
            }.joined() + StoryPage.table(curves.map(\.story))
    }

    private func grid(_ charts: [String]) -> String {
        let drawn = charts.filter { !$0.isEmpty }
        return drawn.isEmpty ? "" : "<div class=\"grid-of-charts\">\(drawn.joined())</div>"
    }

    private var modeCharts: [String] {
        [
            chart("Responses per step", [("num_think", "think"), ("num_short", "short")]),
            chart("Accuracy by mode", [("acc_think", "think"), ("acc_short", "short")], limits: 0...1),
            chart(
                "Tokens per response, by mode",
                [("response_length_think", "think"), ("response_length_short", "short")]),
            chart("Reward", [("reward_mean", "reward")]),
        ]
    }

    /// A chart with one colour per metric; the lines of the second run are dashed.
    private func chart(
        _ title: String, _ metrics: [(name: String, label: String)], limits: ClosedRange<Double>? = nil
    ) -> String {
        var series: [LineChart.Series] = []
        for (index, curve) in curves.enumerated() {
            for (color, metric) in metrics.enumerated() {
                guard let values = curve[metric.name] else { continue }
                series.append(
                    LineChart.Series(
                        name: "\(metric.label) \(label(index))".trimmingCharacters(in: .whitespaces), x: curve.steps,
                        y: values, color: color, isDashed: index > 0))
            }
        }
        return LineChart(title: title, series: series, limits: limits).html
    }

    private var preference: String {
        var charts: [String] = []
        var tables = ""
        var series: [LineChart.Series] = []
        for (index, curve) in curves.enumerated() {
            guard let preference = curve.preference else { continue }
            let levels: [String?] = preference.levels.count > 1 ? preference.levels : [nil]
            for (color, level) in levels.prefix(6).enumerated() {
                series.append(
                    LineChart.Series(
                        name: "\(level.map { "level \($0)" } ?? "all") \(label(index))".trimmingCharacters(
                            in: .whitespaces),
                        x: preference.steps, y: preference.meanThink(level: level), color: color, isDashed: index > 0))
            }
        }
        charts.append(LineChart(title: "Mean P by level", series: series, limits: 0...1).html)
        for (index, curve) in curves.enumerated() {
            guard let preference = curve.preference else { continue }
            charts.append(
                Histogram(
                    title: "Prompts by P(\(preference.modes.think)) \(label(index))".trimmingCharacters(
                        in: .whitespaces),
                    labels: preference.steps.map { "step \($0)" }, counts: preference.histograms()
                ).html)
            guard let first = preference.think.first, let last = preference.think.last, preference.steps.count > 1,
                let firstShort = preference.short.first, let lastShort = preference.short.last
            else { continue }
            tables += PreferencePage.promptTable(
                preference.prompts.indices.map { prompt in
                    (
                        preference.prompts[prompt], preference.promptLevels[prompt], first[prompt], last[prompt],
                        (first[prompt] > firstShort[prompt]) != (last[prompt] > lastShort[prompt])
                    )
                }, from: "at step \(preference.steps.first ?? 0)", to: "at step \(preference.steps.last ?? 0)",
                of: label(index), mode: preference.modes.think)
        }
        let drawn = grid(charts)
        return drawn.isEmpty ? "" : drawn + tables
    }

    private var allMetrics: String {
        var names: [String] = []
        for curve in curves { names += curve.series.map(\.name).filter { !names.contains($0) } }
        return MetricText.Group.allCases.map { group in
            let own = MetricText.sorted(names.filter { MetricText.Group($0) == group })
            return HTML.folded(
                "\(group.rawValue) (\(own.count))", grid(own.map { chart($0, [($0, curves.count > 1 ? "" : $0)]) }))
        }.joined()
    }

    private func states(_ curve: RunCurve) -> String {
        HTML.table(
            "States", ["file", "step", "kind", "digest"],
            curve.states.map { [ComparisonPage.name($0.path), String($0.step), $0.kind.rawValue, $0.digest ?? "–"] })
    }

    private func options(_ curve: RunCurve) -> String {
        guard let options = curve.options?.object, !options.isEmpty else { return "" }
        return HTML.folded(
            Format.counted(options.count, "option"),
            HTML.table(
                "Options", ["option", "value"],
                options.map { [$0.key, $0.value.string ?? $0.value.serialized()] }))
    }
}
