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
        sections.append(("P(<think>) on the probe prompts", preference))
        sections.append(
            ("Which layers moved when", curves.compactMap(\.weights).map(WeightMaps.byLayerAndTime).joined()))
        sections.append(("All metrics", allMetrics))
        for (index, curve) in curves.enumerated() {
            let suffix = curves.count > 1 ? " of \(label(index))" : ""
            sections.append(("Options" + suffix, options(curve)))
            sections.append(("Lineage" + suffix, PageLineage.html(curve.lineage, curve.states.last?.digest ?? "")))
        }
        return PageFrame(title: names.joined(separator: " and "), sections: sections).html
    }

    private func label(_ index: Int) -> String { curves.count > 1 ? ["A", "B"][min(index, 1)] : "" }

    private var verdict: String {
        curves.enumerated().map { index, curve in
            let text = CurveText(curve: curve)
            let name = curves.count > 1 ? "\(label(index)): \(curve.path)" : curve.path
            let findings = text.findingTexts.map { "<p>\(HTML.escape($0))</p>" }.joined()
            return "<p class=\"verdict\">\(HTML.escape(name))</p>"
                + "<p>\(HTML.escape("\(curve.run) run, \(text.states)"))</p>\(findings)"
        }.joined()
    }

    private func grid(_ charts: [String]) -> String {
        let drawn = charts.filter { !$0.isEmpty }
        return drawn.isEmpty ? "" : "<div class=\"grid-of-charts\">\(drawn.joined())</div>"
    }

    private var modeCharts: [String] {
        [
            chart("Responses per step", [("num_think", "think"), ("num_short", "short")]),
            chart("Accuracy by mode", [("acc_think", "think"), ("acc_short", "short")], range: 0...1),
            chart(
                "Tokens per response, by mode",
                [("response_length_think", "think"), ("response_length_short", "short")]),
            chart("Reward", [("reward_mean", "reward")]),
        ]
    }

    /// A chart with one colour per metric; the lines of the second run are dashed.
    private func chart(
        _ title: String, _ metrics: [(name: String, label: String)], range: ClosedRange<Double>? = nil
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
        return LineChart(title: title, series: series, range: range).html
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
        charts.append(LineChart(title: "Mean P(<think>) by level", series: series, range: 0...1).html)
        for (index, curve) in curves.enumerated() {
            guard let preference = curve.preference else { continue }
            charts.append(
                Histogram(
                    title: "Prompts by P(<think>) \(label(index))".trimmingCharacters(in: .whitespaces),
                    labels: preference.steps.map { "step \($0)" }, counts: preference.histograms()
                ).html)
            guard let first = preference.think.first, let last = preference.think.last, preference.steps.count > 1,
                let firstShort = preference.short.first, let lastShort = preference.short.last
            else { continue }
            if curves.count > 1 { tables += "<h3>\(label(index))</h3>" }
            tables += PreferencePage.promptTable(
                preference.prompts.indices.map { prompt in
                    (
                        preference.prompts[prompt], preference.promptLevels[prompt], first[prompt], last[prompt],
                        (first[prompt] > firstShort[prompt]) != (last[prompt] > lastShort[prompt])
                    )
                }, from: "at step \(preference.steps.first ?? 0)", to: "at step \(preference.steps.last ?? 0)")
        }
        let drawn = grid(charts)
        return drawn.isEmpty ? "" : drawn + tables
    }

    private var allMetrics: String {
        var names: [String] = []
        for curve in curves { names += curve.series.map(\.name).filter { !names.contains($0) } }
        return grid(names.map { chart($0, [($0, curves.count > 1 ? "" : $0)]) })
    }

    private func options(_ curve: RunCurve) -> String {
        guard let options = curve.options?.object, !options.isEmpty else { return "" }
        return HTML.table(
            ["option", "value"],
            options.map { [$0.key, $0.value.string ?? $0.value.serialized()] })
    }
}
