import CheckpointIO
import OrderedJSON

/// How far each layer moved between the checkpoints of a run.
package struct WeightTrajectory: Sendable {
    /// The changes between two checkpoints.
    package struct Interval: Sendable {
        /// The step of the first checkpoint.
        package let from: Int
        /// The step of the second checkpoint.
        package let to: Int
        package let cells: [ComparisonReport.Cell]
        /// ‖Δ‖/‖A‖ over all tensors.
        package let total: Double
    }

    package let intervals: [Interval]
    /// The decoder layers in order, preceded by nil if tensors outside of layers moved.
    package let layers: [Int?]

    /// Compares each checkpoint with the one before it; nil for fewer than two checkpoints.
    ///
    /// - Parameters:
    ///   - files: checkpoints of one architecture in any order.
    ///   - maximumIntervals: additional checkpoints are skipped evenly.
    ///   - progress: receives the logical bytes compared so far.
    /// - Throws: an error of reading.
    package init?(_ files: [CheckpointFile], maximumIntervals: Int = 24, progress: (@Sendable (Int) -> Void)? = nil)
        throws
    {
        let states = Self.chosen(files, maximumIntervals)
        guard states.count > 1 else { return nil }
        var intervals: [Interval] = []
        var finished = 0
        for (a, b) in zip(states, states.dropFirst()) {
            let before = finished
            let pairings = CheckpointComparison.pairs(a, b, in: .weights).map { pair in
                TensorPairing(pair.a.map { (a, $0) }, pair.b.map { (b, $0) }, name: pair.name)
            }
            let tensors = try TensorComparison.measure(pairings, progress: { progress?(before + $0) })
            finished += CheckpointComparison.byteCount(a, b)
            intervals.append(
                Interval(
                    from: a.metadata.step, to: b.metadata.step, cells: ComparisonReport.cells(of: tensors),
                    total: ComparisonReport.total(of: tensors).relativeChange))
        }
        self.intervals = intervals
        let found = Set(intervals.flatMap { $0.cells.filter { $0.statistics.differenceNorm > 0 }.map(\.layer) })
        let all = Set(intervals.flatMap { $0.cells.compactMap(\.layer) })
        layers = (found.contains(nil) ? [nil] : []) + all.sorted().map { $0 }
    }

    /// The logical bytes to compare, for a progress bar.
    package static func byteCount(_ files: [CheckpointFile], maximumIntervals: Int = 24) -> Int {
        let states = chosen(files, maximumIntervals)
        return zip(states, states.dropFirst()).reduce(0) { $0 + CheckpointComparison.byteCount($1.0, $1.1) }
    }

    private static func chosen(_ files: [CheckpointFile], _ maximumIntervals: Int) -> [CheckpointFile] {
        let states = files.sorted { ($0.metadata.step, $0.path) < ($1.metadata.step, $1.path) }
        guard states.count > maximumIntervals + 1 else { return states }
        return (0...maximumIntervals).map { states[$0 * (states.count - 1) / maximumIntervals] }
    }

    /// ‖Δ‖/‖A‖ of a layer (nil for tensors outside of layers) over the intervals.
    package func changes(ofLayer layer: Int?) -> [Double] {
        intervals.map { interval in
            var sum = TensorDifference()
            for cell in interval.cells where cell.layer == layer { sum.append(cell.statistics) }
            return sum.relativeChange
        }
    }

    var json: JSON {
        .array(
            intervals.map { interval in
                [
                    "from": .integer(interval.from), "to": .integer(interval.to),
                    "relative_change": .double(interval.total),
                    "layers": .array(
                        interval.cells.map { cell in
                            [
                                "layer": cell.layer.map { .integer($0) } ?? .null, "role": .string(cell.role.rawValue),
                                "relative_change": .double(cell.statistics.relativeChange),
                            ]
                        }),
                ]
            })
    }
}
