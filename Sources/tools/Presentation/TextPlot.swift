/// Plots of text: bars, sparklines, in characters that every terminal font has.
enum TextPlot {
    /// A bar of `width` cells, `fraction` of it filled, to an eighth of a cell.
    static func bar(_ fraction: Double, width: Int) -> String {
        guard fraction.isFinite else { return String(repeating: "·", count: width) }
        let eighths = Int((min(max(fraction, 0), 1) * Double(width * 8)).rounded())
        let partial = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]
        let filled = String(repeating: "█", count: eighths / 8) + partial
        return filled + String(repeating: "░", count: max(width - filled.count, 0))
    }

    /// One character a value, from the lowest to the highest of `range` (the values' own where nil). Longer series
    /// are averaged down to `width`.
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
                // Halves, since the span of two finite numbers may not be one.
                let share = highest > lowest ? (value / 2 - lowest / 2) / (highest / 2 - lowest / 2) : 0.5
                return levels[Int(min(max(share * 8, 0), 7))]
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
}
