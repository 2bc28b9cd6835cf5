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
        html += "<p>\(HTML.escape(text.relation))</p>"
        html += "<p>\(HTML.escape(text.agreement.joined(separator: ", ")))</p>"
        html += HTML.table(
            ["", "A", "B"],
            [
                ["file", report.a.path, report.b.path],
                ["digest", Format.shortDigest(report.a.digest), Format.shortDigest(report.b.digest)],
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
                ["setting", "A", "B"],
                differences.prefix(40).map { title, difference in
                    [
                        "\(title): \(difference.path)", difference.a?.serialized() ?? "none",
                        difference.b?.serialized() ?? "none",
                    ]
                })
        }
        if !report.tokenizer.tokens.isEmpty {
            html += HTML.table(
                ["token", "id in A", "id in B"],
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
        html += HTML.table(
            ["tensor", "status", "‖Δ‖/‖A‖", "cosine", "max |Δ|", "bit-identical", "sign flips", "NaN or Inf"],
            changed.prefix(40).map { tensor in
                guard let statistics = tensor.statistics else { return [tensor.name, tensor.status.rawValue] }
                return [
                    tensor.name, tensor.status.rawValue, Format.number(statistics.relativeChange),
                    String(format: "%.6f", statistics.cosine), Format.number(Double(statistics.largestDifference)),
                    Format.percent(statistics.identicalFraction, decimals: 1), Format.grouped(statistics.signFlipCount),
                    "\(statistics.nonFiniteA) → \(statistics.nonFiniteB)",
                ]
            }, caption: changed.count > 40 ? "The 40 tensors that moved most; --json lists all." : nil)
        return html
    }

    private var controlTokens: String {
        guard !report.isSame, !report.controlTokens.isEmpty else { return "" }
        func number(_ value: Float?) -> String { value.map { Format.number(Double($0)) } ?? "–" }
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
        var html = HTML.table(["token", "id", "norm in A", "norm in B", "moved", "nearest tokens in B (cosine)"], rows)
        if !report.movedRows.isEmpty {
            html += HTML.table(
                ["token", "id", "matrix", "‖Δ‖"],
                report.movedRows.map {
                    [$0.text.debugDescription, String($0.id), $0.tensor, Format.number(Double($0.change))]
                }, caption: "Rows that moved most")
        }
        return html
    }

    private var modePreference: String {
        report.modePreference.map { change in
            PreferencePage.html(change, labels: [report.a.named(change.stepA), report.b.named(change.stepB)])
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
            + "\(Format.number(divergence.mean)), 95 % below \(Format.number(divergence.percentile95)), at most "
            + "\(Format.number(divergence.largest)) nats; mean where a response begins "
            + "\(Format.number(divergence.meanAtFirstResponse)). The likeliest token is the same at "
            + "\(Format.percent(divergence.topAgreement, decimals: 1)) of the positions.</p>"
        html += HTML.table(
            ["", "A", "B"],
            [
                ["loss (nats per token)", Format.number(divergence.lossA), Format.number(divergence.lossB)],
                ["entropy (nats)", Format.number(divergence.entropyA), Format.number(divergence.entropyB)],
            ])
        return html
            + HTML.table(
                ["text so far", "next token", "KL", "likeliest token in A", "in B"],
                divergence.worst.map { place in
                    [
                        "…" + place.context, place.following?.debugDescription ?? "(the response)",
                        Format.number(place.divergence), top(place.topA), top(place.topB),
                    ]
                }, caption: "Positions with the largest KL")
    }

    private var metrics: String {
        let charts = report.metrics.map { metric in
            LineChart(
                title: "\(metric.run): \(metric.name)",
                series: [LineChart.Series(name: metric.name, x: metric.steps, y: metric.values, color: 0)]
            ).html
        }.filter { !$0.isEmpty }
        return charts.isEmpty ? "" : "<div class=\"grid-of-charts\">\(charts.joined())</div>"
    }

    static func name(_ path: String) -> String {
        path.split(separator: "/").suffix(2).joined(separator: "/")
    }
}
