/// Rows of a name, a sparkline and a text, whose columns share the width of the screen.
package struct StripLayout {
    let nameWidth: Int
    let stripWidth: Int

    /// - Parameters:
    ///   - width: the cells of a line.
    ///   - text: the cells that the texts take.
    ///   - name: the cells that the names take, which get less on a narrow screen.
    package init(width: Int, text: Int = 21, name: Int = 24) {
        nameWidth = min(name, max(10, width - text - 5 - 16))
        stripWidth = min(30, max(6, width - text - 5 - nameWidth))
    }

    /// The line of a series: its first and last value follow the sparkline.
    ///
    /// A series of one value is that value, and one that never changes says so instead of drawing a line.
    package func line(
        _ name: String, _ values: [Double], range: ClosedRange<Double>? = nil,
        number: (Double) -> String = { Format.value($0) }
    ) -> String {
        let finite = values.filter(\.isFinite)
        // Names that begin alike, such as verl's, differ in their end.
        let title = "  " + Format.column(name.cutMiddle(toCells: nameWidth), nameWidth) + " "
        guard let first = finite.first, let last = finite.last else { return title + "–" }
        if finite.count == 1 { return title + number(first) }
        if Set(finite).count == 1 { return title + number(first) + " throughout" }
        return title + strip(values, range: range) + "  \(number(first)) → \(number(last))"
    }

    /// The line of a series with a text of its own after the sparkline.
    func line(_ name: String, _ values: [Double], range: ClosedRange<Double>, text: String) -> String {
        "  " + Format.column(name, nameWidth) + " " + strip(values, range: range) + "  " + text
    }

    private func strip(_ values: [Double], range: ClosedRange<Double>?) -> String {
        Format.column(TextPlot.sparkline(values, width: stripWidth, range: range), stripWidth)
    }
}
