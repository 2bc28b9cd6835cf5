import Foundation

/// Maps values to positions on an axis and chooses its labels.
struct ChartScale {
    let lowest: Double
    let highest: Double
    let start: Double
    let end: Double

    /// A scale from position `start` to position `end` that fits the finite values.
    ///
    /// - Parameters:
    ///   - values: what is drawn.
    ///   - start: the position of the lowest value.
    ///   - end: the position of the highest value.
    ///   - margin: the share of the range that is left free at both ends.
    ///   - limits: what the axis never crosses; it never crosses 0 if no value is negative.
    init(
        _ values: [Double], from start: Double, to end: Double, margin: Double = 0, limits: ClosedRange<Double>? = nil
    ) {
        let finite = values.filter(\.isFinite)
        let (first, last) = (finite.min() ?? 0, finite.max() ?? 1)
        // Halved first: the difference of two finite numbers can overflow.
        var free = (last / 2 - first / 2) * 2 * margin
        if last <= first { free = first == 0 ? 1 : abs(first) * 0.1 }
        if !free.isFinite { free = 0 }
        var (low, high) = (first - free, last + free)
        if first >= 0 { low = max(low, 0) }
        if let limits {
            low = max(low, min(limits.lowerBound, first))
            high = min(high, max(limits.upperBound, last))
        }
        lowest = low
        highest = high > low ? high : low + 1
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
        // 0 and not -0.
        return stride(from: first, through: last, by: 1).map { $0 == 0 ? 0 : $0 * step }
    }

    /// The labels of ticks, all with the decimals that tell one from the next.
    static func labels(_ ticks: [Double]) -> [String] {
        let largest = ticks.map(abs).max() ?? 0
        let step = zip(ticks, ticks.dropFirst()).map { $1 - $0 }.min() ?? largest
        guard largest > 0, step > 0, step.isFinite else { return ticks.map(Format.value) }
        if largest >= 1e6 || largest < 1e-3 {
            let digits = min(max(Int(log10(largest / step).rounded(.up)), 0), 6)
            return ticks.map { $0 == 0 ? "0" : String(format: "%.\(digits)e", $0) }
        }
        let decimals = (0...9).first { decimals in
            let scaled = step * pow(10, Double(decimals))
            return abs(scaled - scaled.rounded()) < 1e-6 * scaled
        }
        return ticks.map { String(format: "%.\(decimals ?? 9)f", $0) }
    }
}
