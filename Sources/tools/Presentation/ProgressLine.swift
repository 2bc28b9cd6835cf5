import OrderedJSON

/// A line that shows how far some work is.
package struct ProgressLine: Sendable {
    package var title: String
    /// Replaces the title in short lines; else its end does.
    package var shortTitle: String?
    package var done: Int
    package var total: Int
    /// How much is done of how much.
    package var amount: String
    package var rate: String?
    /// The time left.
    package var left: String?

    package init(_ title: String, done: Int, total: Int, amount: String, rate: String? = nil, left: String? = nil) {
        (self.title, self.done, self.total) = (title, done, total)
        (self.amount, self.rate, self.left) = (amount, rate, left)
    }

    /// The line in `width` cells: first the bar shrinks, then the rate, the bar, the title and the time left go.
    package func text(in width: Int) -> String {
        let short = shortTitle ?? title.onOneLine().cutStart(toCells: max(width / 3, 12))
        let details = [[amount, rate, left], [amount, left], [amount]].map {
            $0.compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: ", ")
        }
        for title in [title.onOneLine(), short] {
            for detail in details.prefix(2) {
                let room = width - title.cells - detail.cells - 2
                guard room >= 6 else { continue }
                let fraction = min(Double(done) / Double(max(total, 1)), 1)
                return "\(title) \(TextPlot.bar(fraction, width: min(room, 20))) \(detail)"
            }
        }
        let texts = details.map { $0.isEmpty ? short : "\(short) \($0)" }
        return texts.first { $0.cells <= width } ?? texts[2].cut(toCells: width)
    }
}
