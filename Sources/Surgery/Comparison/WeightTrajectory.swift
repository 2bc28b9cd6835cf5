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

    /// The most checkpoints that are compared; more are skipped evenly.
    package static let maximumStates = 25

    /// Compares each checkpoint with the one before it; nil for fewer than two checkpoints.
    ///
    /// - Parameters:
    ///   - states: checkpoints of one architecture by step, at most `maximumStates`.
    ///   - progress: receives the logical bytes compared so far.
    /// - Throws: an error of reading.
    package init?(_ states: [(step: Int, file: CheckpointFile)], progress: (@Sendable (Int) -> Void)? = nil) throws {
        guard states.count > 1 else { return nil }
        var intervals: [Interval] = []
        var finished = 0
        for ((from, a), (to, b)) in zip(states, states.dropFirst()) {
            let before = finished
            let pairings = CheckpointComparison.pairs(a, b, in: .weights).map { pair in
                TensorPairing(pair.a.map { (a, $0) }, pair.b.map { (b, $0) }, name: pair.name)
            }
            let tensors = try TensorComparison.measure(pairings, progress: { progress?(before + $0) })
            finished += CheckpointComparison.byteCount(a, b)
            intervals.append(
                Interval(
                    from: from, to: to, cells: ComparisonReport.cells(of: tensors),
                    total: ComparisonReport.total(of: tensors).relativeChange))
        }
        self.intervals = intervals
        let found = Set(intervals.flatMap { $0.cells.filter { $0.statistics.differenceNorm > 0 }.map(\.layer) })
        let all = Set(intervals.flatMap { $0.cells.compactMap(\.layer) })
        layers = (found.contains(nil) ? [nil] : []) + all.sorted().map { $0 }
    }

    /// The logical bytes to compare, for a progress bar.
    package static func byteCount(_ states: [(step: Int, file: CheckpointFile)]) -> Int {
        zip(states, states.dropFirst()).reduce(0) { $0 + CheckpointComparison.byteCount($1.0.file, $1.1.file) }
    }

    /// At most `maximumStates` of the states, with the first and the last one.
    package static func chosen<State>(_ states: [State]) -> [State] {
        guard states.count > maximumStates else { return states }
        return (0..<maximumStates).map { states[$0 * (states.count - 1) / (maximumStates - 1)] }
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
