import Foundation
import TrainLoop

/// The differences between two models' predictions of the next token.
struct BehaviorText {
    let behavior: BehaviorComparison
    /// The cells of a line.
    var width = Terminal.outputColumns

    var lines: [String] {
        var lines: [String] = []
        if let divergence = behavior.divergence { lines += Self.lines(divergence, width: width) }
        lines += behavior.notes.map { "  note: \($0)" }
        return lines
    }

    private static func lines(_ divergence: BehaviorComparison.Divergence, width: Int) -> [String] {
        var lines = [
            "",
            Style.bold("Next token")
                + "  \(Format.counted(divergence.placeCount, "position")) in "
                + Format.counted(divergence.textCount, "text"),
        ]
        lines.append(
            "  KL(A‖B) mean \(Format.value(divergence.mean)), 95 % below \(Format.value(divergence.percentile95)), "
                + "at most \(Format.value(divergence.largest)) nats")
        lines.append(
            "  mean where a response begins \(Format.value(divergence.meanAtFirstResponse)); same likeliest token at "
                + Format.percent(divergence.topAgreement, decimals: 1))
        lines.append(
            "  loss \(Format.value(divergence.lossA)) → \(Format.value(divergence.lossB)), entropy "
                + "\(Format.value(divergence.entropyA)) → \(Format.value(divergence.entropyB)) nats")
        lines.append(Style.faint("  largest KL: KL, text so far ▸ next token; likeliest token in A, in B"))
        for place in divergence.worst where place.divergence > 0 {
            lines.append("  " + Self.line(place, width: width))
        }
        return lines
    }

    private static func line(_ place: BehaviorComparison.Place, width columns: Int) -> String {
        let tops = [place.topA, place.topB].map { top in
            "\(Format.column(top.text, 9).trimmingCharacters(in: .whitespaces).debugDescription) "
                + String(format: "%.2f", top.probability)
        }
        let end = "\(tops[0]), \(tops[1])"
        let following =
            place.following.map { Format.column($0, 9).trimmingCharacters(in: .whitespaces) }
            ?? (place.isFirstResponse ? "(response)" : "(end)")
        let width = max(12, columns - 4 - 7 - 3 - end.count - following.count - 2)
        let context = place.context.replacing("\n", with: "⏎")
        let shown = context.count > width ? "…" + context.suffix(width - 1) : context
        return "\(Format.column(Format.value(place.divergence), 7)) \(Format.column(shown, shown.count)) ▸ "
            + "\(following)  \(end)"
    }
}
