import Surgery

/// The report of `ckpt add-tokens` as text.
struct AddTokensText {
    let report: AddTokensReport
    let path: String

    var lines: [String] {
        var lines: [String] = []
        lines.append(
            Style.bold(path) + "  \(Format.bytes(report.fileByteCount)), digest "
                + Format.shortDigest(report.digest))
        lines.append(
            "rows       \(Format.grouped(report.rowsBefore)) → \(Format.grouped(report.rowsAfter)), "
                + "\(report.isTied ? "head tied to the embedding" : "separate head")")
        lines.append(
            "tokenizer  \(Format.grouped(report.tokenizerSizeBefore)) → \(Format.grouped(report.tokenizerSizeAfter)) "
                + "tokens; unused rows \(Format.grouped(report.paddingBefore)) → "
                + Format.grouped(report.paddingAfter))
        lines.append("new rows   \(initialization)")
        for norm in report.norms {
            lines.append(
                "row norms  \(norm.tensor): median \(Format.number(Double(norm.median))), 5–95 % "
                    + "\(Format.number(Double(norm.low)))–\(Format.number(Double(norm.high)))")
        }
        lines.append("")
        lines.append(
            "  \(Format.column("token", 12)) \(Format.column("id", 7, alignRight: true))  \(Format.column("row", 13)) "
                + "\(Format.column("norm", 8, alignRight: true)) \(Format.column("quantile", 9, alignRight: true))"
                + (report.isTied ? "" : " \(Format.column("head norm", 10, alignRight: true))") + "  one id")
        for token in report.tokens { lines.append(line(token)) }
        if let divergence = report.divergence { lines += Self.lines(divergence) }
        lines.append("")
        lines.append(
            "\(Format.counted(report.copiedTensorCount, "tensor")) copied unchanged, \(report.writtenTensorCount) written"
                + (report.extendsOptimizer ? "; optimizer moments of new rows are zero" : ""))
        if !report.endTokens.isEmpty {
            lines.append("generation stops at \(report.endTokens.joined(separator: " "))")
        }
        return lines
    }

    private var initialization: String {
        guard report.tokens.contains(where: { $0.origin == .newRow || $0.origin == .reservedRow }) else {
            return "none needed"
        }
        guard let source = report.source else { return report.initialization }
        var text = "copies of \(source.text.debugDescription) (id \(source.id)) plus noise"
        if let probability = source.probability {
            text += "; P \(Format.number(probability)) as first answer token"
        }
        guard !report.uncopied.isEmpty else { return text }
        return text + "; the mean row plus noise for \(report.uncopied.joined(separator: ", "))"
    }

    private func line(_ token: AddTokensReport.TokenReport) -> String {
        let row =
            switch token.origin {
            case .present: "existing"
            case .vocabularyPiece: "in vocabulary"
            case .renamed: "renamed"
            case .reservedRow: "unused row"
            case .newRow: "new row"
            }
        let quantile = Format.percent(token.embedding.quantile)
        let head = token.head.map { " " + Format.column(Format.number(Double($0.norm)), 10, alignRight: true) } ?? ""
        return "  \(Format.column(token.content, 12)) \(Format.column(String(token.id), 7, alignRight: true))  "
            + "\(Format.column(row, 13)) "
            + "\(Format.column(Format.number(Double(token.embedding.norm)), 8, alignRight: true)) "
            + "\(Format.column(quantile, 9, alignRight: true))\(head)  \(token.encodes ? "yes" : "no")"
    }

    private static func lines(_ divergence: DivergenceReport) -> [String] {
        var lines = ["", "effect of the new rows on the answers before training (KL(old ‖ new) in nats)"]
        for (name, place) in [
            ("first response token", divergence.firstResponsePosition), ("elsewhere", divergence.elsewhere),
        ] {
            lines.append(
                "  \(Format.column(name, 21)) mean \(Format.number(place.mean)), max \(Format.number(place.largest)), "
                    + "P(new tokens) \(Format.number(place.newTokenProbability))")
        }
        let controls = divergence.controlProbabilities.map { "\($0.token) \(Format.number($0.probability))" }
        lines.append("  P as first response token: \(controls.joined(separator: ", "))")
        return lines
    }
}
