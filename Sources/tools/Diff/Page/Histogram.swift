import OrderedJSON

/// Histograms of the prompts' probabilities from 0 to 1, one per snapshot.
///
/// A slider switches between the snapshots; without scripts the last one is shown.
struct Histogram {
    let title: String
    let labels: [String]
    /// The number of prompts, `[snapshots][bins]`.
    let counts: [[Int]]

    private static let bottom = 150.0
    private static let barWidth = 36.0
    private static let left = 30.0

    private var slider: String {
        "<label class=\"slider\">snapshot <input type=\"range\" min=\"0\" max=\"\(counts.count - 1)\" "
            + "value=\"\(counts.count - 1)\" aria-valuetext=\"\(HTML.escape(labels.last ?? ""))\"></label>"
    }

    var html: String {
        guard let last = counts.last, let highest = counts.flatMap(\.self).max(), highest > 0 else { return "" }
        var drawing = ""
        for (bin, count) in last.enumerated() {
            let height = Double(count) / Double(highest) * 130
            drawing +=
                "<rect class=\"bar c0\" x=\"\(svg(Self.left + Double(bin) * Self.barWidth + 1))\" "
                + "y=\"\(svg(Self.bottom - height))\" width=\"\(svg(Self.barWidth - 2))\" height=\"\(svg(height))\">"
                + "<title>\(Format.counted(count, "prompt"))</title></rect>"
        }
        let width = Self.left + Double(last.count) * Self.barWidth
        for tick in 0...4 {
            let x = Self.left + Double(tick) / 4 * (width - Self.left)
            drawing +=
                "<text class=\"tick\" x=\"\(svg(x))\" y=\"168\" text-anchor=\"middle\">\(svg(Double(tick) / 4))</text>"
        }
        drawing += "<text class=\"tick\" x=\"\(svg(Self.left - 4))\" y=\"24\" text-anchor=\"end\">\(highest)</text>"
        let data: JSON = [
            "highest": .integer(highest), "labels": .array(labels.map { .string($0) }),
            "counts": .array(counts.map { .array($0.map { .integer($0) }) }),
        ]
        let summary =
            "\(title), \(labels.last ?? ""): prompts in ten equal bins from 0 to 1: "
            + last.map(String.init).joined(separator: ", ")
        return """
            <figure class="chart" data-chart="histogram"><figcaption>\(HTML.escape(title)): \
            <output>\(HTML.escape(labels.last ?? ""))</output></figcaption>\
            <svg viewBox="0 0 \(svg(width + 14)) 176" role="img" aria-label="\(HTML.escape(summary))">\(drawing)</svg>\
            \(counts.count > 1 ? slider : "")\(HTML.data(data))</figure>
            """
    }
}
