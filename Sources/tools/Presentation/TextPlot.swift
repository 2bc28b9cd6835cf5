import OrderedJSON

/// Bars, sparklines and scatter plots made of characters that every terminal font has.
enum TextPlot {
    /// A bar of `width` cells, filled to `fraction` with a resolution of an eighth of a cell.
    static func bar(_ fraction: Double, width: Int) -> String {
        guard fraction.isFinite else { return String(repeating: "·", count: width) }
        let eighths = Int((min(max(fraction, 0), 1) * Double(width * 8)).rounded())
        let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
        let filled = String(repeating: "█", count: eighths / 8) + partial
        return filled + String(repeating: "░", count: max(width - filled.count, 0))
    }

    /// A line with one character per value.
    ///
    /// - Parameters:
    ///   - values: the series; one with more than `width` values is averaged down to `width`.
    ///   - width: the largest number of characters.
    ///   - range: the values of the lowest and the highest character; nil: the extremes of the series.
    /// - Returns: the characters; a blank stands for a value that is not finite.
    static func sparkline(_ values: [Double], width: Int = 40, range: ClosedRange<Double>? = nil) -> String {
        let cells = resampled(values, to: width)
        let finite = cells.filter(\.isFinite)
        guard let lowest = range?.lowerBound ?? finite.min(), let highest = range?.upperBound ?? finite.max() else {
            return String(repeating: " ", count: cells.count)
        }
        let levels = Array("▁▂▃▄▅▆▇█")
        return String(
            cells.map { value in
                guard value.isFinite else { return " " }
                // Halved first: the difference of two finite numbers can overflow.
                let share = highest > lowest ? (value / 2 - lowest / 2) / (highest / 2 - lowest / 2) : 0.5
                return levels[min(max(Int(saturating: share * 8), 0), 7)]
            })
    }

    private static func resampled(_ values: [Double], to width: Int) -> [Double] {
        guard values.count > width, width > 0 else { return values }
        return (0..<width).map { cell in
            let part = values[(cell * values.count / width)..<((cell + 1) * values.count / width)]
            let finite = part.filter(\.isFinite)
            return finite.isEmpty ? .nan : finite.reduce(0, +) / Double(finite.count)
        }
    }

    /// A scatter plot with axes and a dotted straight line below the marks; later marks cover earlier ones.
    ///
    /// - Returns: the lines of the plot; none if the finite marks have fewer than two different x.
    static func scatter(
        _ marks: [(x: Double, y: Double, mark: Character)],
        line: ((x: Double, y: Double), (x: Double, y: Double)),
        width: Int, height: Int, xLabel: String, yLabel: (Double) -> String
    ) -> [String] {
        let marks = marks.filter { $0.x.isFinite && $0.y.isFinite }
        let (xs, ys) = (marks.map(\.x), marks.map(\.y))
        guard let left = xs.min(), let right = xs.max(), let lowest = ys.min(), let highest = ys.max(), right > left
        else {
            return []
        }
        // Marks of equal height go to the middle.
        let (bottom, top) = highest > lowest ? (lowest, highest) : (lowest - 0.01, highest + 0.01)
        var cells = [[Character]](repeating: [Character](repeating: " ", count: width), count: height)
        func put(_ x: Double, _ y: Double, _ mark: Character) {
            let column = Int(saturating: ((x - left) / (right - left) * Double(width - 1)).rounded())
            let row = Int(saturating: ((top - y) / (top - bottom) * Double(height - 1)).rounded())
            if cells.indices.contains(row), cells[row].indices.contains(column) { cells[row][column] = mark }
        }
        for step in 0..<width {
            let share = Double(step) / Double(width - 1)
            put(line.0.x + share * (line.1.x - line.0.x), line.0.y + share * (line.1.y - line.0.y), "·")
        }
        for mark in marks { put(mark.x, mark.y, mark.mark) }
        var lines = cells.enumerated().map { row, cells in
            let value = top - Double(row) / Double(height - 1) * (top - bottom)
            let label = row == 0 || row == height - 1 || row == height / 2 ? yLabel(value) : ""
            return Format.column(label, 10, alignRight: true) + " │" + String(cells)
        }
        lines.append(String(repeating: " ", count: 11) + "└" + String(repeating: "─", count: width))
        let ends = (Format.number(left), "\(Format.number(right)) \(xLabel)")
        lines.append(
            String(repeating: " ", count: 12) + ends.0
                + Format.column(ends.1, max(0, width - ends.0.count), alignRight: true))
        return lines
    }
}
