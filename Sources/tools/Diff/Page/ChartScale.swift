import Foundation

/// Maps values to positions on an axis and chooses its labels.
struct ChartScale {
    let lowest: Double
    let highest: Double
    let start: Double
    let end: Double

    /// A scale from position `start` to position `end` for `range`, or for the finite values.
    init(_ values: [Double], from start: Double, to end: Double, range: ClosedRange<Double>? = nil) {
        let finite = values.filter(\.isFinite)
        var low = range?.lowerBound ?? finite.min() ?? 0
        var high = range?.upperBound ?? finite.max() ?? 1
        if high <= low {
            let margin = low == 0 ? 1 : abs(low) * 0.1
            low -= margin
            high += margin
        }
        lowest = low
        highest = high
        self.start = start
        self.end = end
    }

    func position(_ value: Double) -> Double {
        start + (value - lowest) / (highest - lowest) * (end - start)
    }

    /// About `count` round numbers within the range.
    func ticks(_ count: Int) -> [Double] {
        let rough = (highest - lowest) / Double(max(count, 1))
        let power = pow(10, floor(log10(rough)))
        let step = [1, 2, 2.5, 5, 10].map { $0 * power }.first { $0 >= rough } ?? rough
        let first = (lowest / step).rounded(.up)
        let last = (highest / step).rounded(.down)
        guard first <= last, last - first < 100 else { return [lowest, highest] }
        return stride(from: first, through: last, by: 1).map { $0 * step }
    }
}
