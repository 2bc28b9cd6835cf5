import CheckpointIO
import OrderedJSON

/// A metric of a run between the steps of two checkpoints.
package struct MetricChange: Sendable {
    /// `sft` or `rl`.
    package let run: String
    package let name: String
    package let steps: [Int]
    /// One value per step; NaN if the run did not log it.
    package let values: [Double]

    package var first: Double { values.first(where: \.isFinite) ?? .nan }
    package var last: Double { values.last(where: \.isFinite) ?? .nan }
    package var mean: Double { average(values) }

    /// All metrics of B's history for the steps after A's, or for all steps if A is not from the same run.
    static func between(_ a: CheckpointMetadata, _ b: CheckpointMetadata) -> [MetricChange] {
        b.history.keys.sorted().flatMap { run -> [MetricChange] in
            guard let history = b.history[run], let steps = history["step"] else { return [] }
            let rowsOfA = a.history[run]?.rowCount ?? 0
            let first = rowsOfA < history.rowCount ? rowsOfA : 0
            guard rowsOfA != history.rowCount else { return [] }
            return history.names.filter { $0 != "step" }.compactMap { name in
                history[name].map { values in
                    MetricChange(
                        run: run, name: name, steps: steps[first...].map { Int(saturating: $0) },
                        values: Array(values[first...]))
                }
            }
        }
    }
}
