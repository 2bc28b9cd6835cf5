/// A table of numbers as squares; larger numbers are darker.
struct HeatMap {
    /// The caption above the drawing.
    let title: String
    let rows: [String]
    let columns: [String]
    /// `[rows][columns]`; nil for an empty place.
    let values: [[Double?]]
    /// The tooltip of a square.
    let text: (_ row: Int, _ column: Int) -> String
    /// The description for screen readers.
    let summary: String

    private static let cell = 22.0
    private static let top = 24.0

    var html: String {
        let highest = values.flatMap(\.self).compactMap(\.self).filter(\.isFinite).max() ?? 0
        guard highest > 0 else { return "" }
        let left = Double(rows.map(\.count).max() ?? 0) * 7 + 14
        var drawing = ""
        for (row, name) in rows.enumerated() {
            let y = Self.top + (Double(row) + 0.5) * Self.cell
            drawing +=
                "<text class=\"tick\" x=\"\(svg(left - 6))\" y=\"\(svg(y))\" dy=\"0.32em\" text-anchor=\"end\">"
                + "\(HTML.escape(name))</text>"
        }
        // Labels must not touch, so some columns go without.
        let labelWidth = Double(columns.map(\.count).max() ?? 0) * 7 + 8
        let every = max(1, Int((labelWidth / Self.cell).rounded(.up)))
        for column in stride(from: 0, to: columns.count, by: every) {
            let x = left + (Double(column) + 0.5) * Self.cell
            drawing +=
                "<text class=\"tick\" x=\"\(svg(x))\" y=\"16\" text-anchor=\"middle\">"
                + "\(HTML.escape(columns[column]))</text>"
        }
        for row in rows.indices {
            for column in columns.indices {
                guard let value = values[row][column] else { continue }
                let shade = value.isFinite ? max(value / highest, 0.03) : 1
                drawing +=
                    "<rect class=\"cell\" x=\"\(svg(left + Double(column) * Self.cell + 1))\" "
                    + "y=\"\(svg(Self.top + Double(row) * Self.cell + 1))\" width=\"\(svg(Self.cell - 2))\" "
                    + "height=\"\(svg(Self.cell - 2))\" fill-opacity=\"\(svg(shade))\">"
                    + "<title>\(HTML.escape(text(row, column)))</title></rect>"
            }
        }
        // The last label can extend past its square.
        let width = left + Double(columns.count) * Self.cell + max(4, labelWidth / 2 - Self.cell / 2)
        let height = Self.top + Double(rows.count) * Self.cell + 4
        return """
            <figure class="wide" tabindex="0"><figcaption>\(HTML.escape(title)); darkest: \
            \(HTML.escape(Format.number(highest)))</figcaption>\
            <svg class="fixed" viewBox="0 0 \(svg(width)) \(svg(height))" width="\(svg(width))" \
            height="\(svg(height))" role="img" aria-label="\(HTML.escape(summary))">\(drawing)</svg></figure>
            """
    }
}
