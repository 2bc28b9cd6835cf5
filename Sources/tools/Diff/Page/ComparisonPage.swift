import CheckpointIO
import Foundation
import OrderedJSON
import Surgery
import TrainLoop

/// The HTML page of a comparison of two checkpoints.
struct ComparisonPage {
    let report: ComparisonReport
    /// The measurements on both models; nil without --probe.
    var behavior: BehaviorComparison?
    /// The texts of --modes.
    var modes: ModeNames?

    /// The tensors that the page lists; a model of experts can have many thousands.
    private static let maximumTensors = 2000

    var html: String {
        let text = ComparisonText(report: report)
        return PageFrame(
            title: "\(Self.name(report.a.path)) → \(Self.name(report.b.path))",
            sections: [
                ("Verdict", verdict(text)), ("Weights", weights), ("Control tokens", controlTokens),
                ("Mode preference", modePreference), ("Next token", nextToken),
                ("Run between A and B", metrics), ("Lineage", PageLineage.html(report.b.lineage, report.b.digest)),
            ]
        ).html
    }

    private func verdict(_ text: ComparisonText) -> String {
        var html = "<p class=\"verdict\">\(report.isSame ? "The same model" : "Different models")</p>"
        if let story = text.story {
            html += StoryPage.html(story, origin: nil) + (report.story.map { StoryPage.table([$0]) } ?? "")
        }
        if let unmoved = text.unmoved { html += "<p>\(HTML.escape(unmoved))</p>" }
        html += "<p>\(HTML.escape(text.relation))</p>"
        html += "<p>\(HTML.escape(text.agreement.joined(separator: ", ")))</p>"
        html += HTML.table(
            "The two files", ["", "A", "B"],
            [
                ["file", report.a.path, report.b.path],
                ["digest", report.a.digest, report.b.digest],
                ["step", String(report.a.step), String(report.b.step)],
                ["parameters", Format.grouped(report.a.parameterCount), Format.grouped(report.b.parameterCount)],
                ["size", Format.bytes(report.a.fileByteCount), Format.bytes(report.b.fileByteCount)],
                ["made by", report.a.createdBy, report.b.createdBy],
            ])
        let differences =
            report.config.map { ("config", $0) } + report.generationConfig.map { ("generation config", $0) }
            + report.tokenizer.config.map { ("tokenizer config", $0) }
        if !differences.isEmpty {
            html += HTML.table(
                "Settings that differ", ["setting", "A", "B"],
                differences.prefix(40).map { title, difference in
                    [
                        "\(title): \(difference.path)", difference.a?.serialized() ?? "none",
                        difference.b?.serialized() ?? "none",
                    ]
                })
        }
        if !report.tokenizer.tokens.isEmpty {
            html += HTML.table(
                "Tokens that differ", ["token", "id in A", "id in B"],
                report.tokenizer.tokens.prefix(40).map {
                    [$0.content, $0.idA.map(String.init) ?? "none", $0.idB.map(String.init) ?? "none"]
                })
        }
        return html
    }

    private var weights: String {
        let total = report.total
        let changed = report.changed
        var html =
            "<p>\(changed.count) of \(Format.counted(report.tensors.count, "tensor")) moved; "
            + "\(Format.percent(total.identicalFraction, decimals: 1)) of the elements are bit-identical.</p>"
        guard !changed.isEmpty else { return html }
        html += WeightMaps.byLayerAndRole(report)
        let listed = changed.prefix(Self.maximumTensors)
        html += HTML.filter("filter tensors by parts of their names", of: listed.count)
        html += HTML.table(
            "Tensors that changed, most first"
                + (changed.count > listed.count ? "; \(listed.count) of \(changed.count), --json lists all" : ""),
            ["tensor", "status", "‖Δ‖/‖A‖", "cosine", "max |Δ|", "bit-identical", "sign flips", "NaN or Inf"],
            listed.map { tensor in
                guard let statistics = tensor.statistics else { return [tensor.name, tensor.status.rawValue] }
                return [
                    tensor.name, tensor.status.rawValue, Format.value(statistics.relativeChange),
                    String(format: "%.6f", statistics.cosine), Format.value(Double(statistics.largestDifference)),
                    Format.percent(statistics.identicalFraction, decimals: 1), Format.grouped(statistics.signFlipCount),
                    "\(statistics.nonFiniteA) → \(statistics.nonFiniteB)",
                ]
            }, showsName: true, isSortable: true, isTall: true)
        return html
    }

    private var controlTokens: String {
        guard !report.isSame, !report.controlTokens.isEmpty else { return "" }
        func number(_ value: Float?) -> String { value.map { Format.value(Double($0)) } ?? "–" }
        var rows: [[String]] = []
        for token in report.controlTokens {
            for (name, row) in [("row", token.embedding), ("head", token.head)] {
                guard let row else { continue }
                rows.append([
                    "\(token.name) \(name)", token.idB.map(String.init) ?? "none", number(row.normA), number(row.normB),
                    row.relativeChange.map { Format.percent($0, decimals: 1) } ?? "–",
                    row.neighbors.map { "\($0.text.debugDescription) \(String(format: "%.2f", $0.cosine))" }
                        .joined(separator: ", "),
                ])
            }
        }
        var html = HTML.table(
            "Control tokens", ["token", "id", "norm in A", "norm in B", "moved", "nearest tokens in B (cosine)"], rows)
        if !report.movedRows.isEmpty {
            html += HTML.table(
                "Rows that moved most", ["token", "id", "matrix", "‖Δ‖"],
                report.movedRows.map {
                    [$0.text.debugDescription, String($0.id), $0.tensor, Format.value(Double($0.change))]
                }, showsName: true)
        }
        return html
    }

    private var modePreference: String {
        report.modePreference.map { change in
            PreferencePage.html(
                change, labels: [report.a.named(change.stepA), report.b.named(change.stepB)],
                modes: modes.map { ($0.think, $0.short) } ?? RunCurve.Preference.controlTokens)
        } ?? ""
    }

    private var nextToken: String {
        guard let behavior else { return "" }
        var html = behavior.notes.map { "<p>Note: \(HTML.escape($0)).</p>" }.joined()
        guard let divergence = behavior.divergence else { return html }
        func top(_ top: (text: String, probability: Double)) -> String {
            "\(top.text.debugDescription) \(String(format: "%.2f", top.probability))"
        }
        html +=
            "<p>KL(A‖B) over \(Format.counted(divergence.placeCount, "position")) in "
            + "\(Format.counted(divergence.textCount, "text")): mean "
            + "\(Format.value(divergence.mean)), 95 % below \(Format.value(divergence.percentile95)), at most "
            + "\(Format.value(divergence.largest)) nats; mean where a response begins "
            + "\(Format.value(divergence.meanAtFirstResponse)). The likeliest token is the same at "
            + "\(Format.percent(divergence.topAgreement, decimals: 1)) of the positions.</p>"
        html += HTML.table(
            "Loss and entropy", ["", "A", "B"],
            [
                ["loss (nats per token)", Format.value(divergence.lossA), Format.value(divergence.lossB)],
                ["entropy (nats)", Format.value(divergence.entropyA), Format.value(divergence.entropyB)],
            ])
        return html
            + HTML.table(
                "Positions with the largest KL", ["text so far", "next token", "KL", "likeliest token in A", "in B"],
                divergence.worst.map { place in
                    [
                        "…" + place.context, place.following?.debugDescription ?? "(the response)",
                        Format.value(place.divergence), top(place.topA), top(place.topB),
                    ]
                }, showsName: true)
    }

    private var metrics: String {
        ["rl", "sft"].flatMap { run in
            let own = report.metrics.filter { $0.run == run }
            let names = MetricText.sorted(own.map(\.name))
            return MetricText.Group.allCases.map { group in
                let shown = names.filter { MetricText.Group($0) == group }.compactMap { name in
                    own.first { $0.name == name }
                }
                let charts = shown.map { metric in
                    LineChart(
                        title: metric.name,
                        series: [LineChart.Series(name: metric.name, x: metric.steps, y: metric.values, color: 0)]
                    ).html
                }.filter { !$0.isEmpty }
                return charts.isEmpty
                    ? ""
                    : HTML.folded(
                        "\(run): \(group.rawValue) (\(charts.count))",
                        "<div class=\"grid-of-charts\">\(charts.joined())</div>")
            }
        }.joined()
    }

    static func name(_ path: String) -> String {
        path.split(separator: "/").suffix(2).joined(separator: "/")
    }
}
