import CheckpointIO

/// What one metric of a run did between two steps.
public struct MetricChange: Sendable {
    /// `sft` or `rl`.
    public let run: String
    public let name: String
    public let steps: [Int]
    /// One value a step; NaN where the run did not log it.
    public let values: [Double]

    public var first: Double { values.first(where: \.isFinite) ?? .nan }
    public var last: Double { values.last(where: \.isFinite) ?? .nan }
    public var mean: Double { average(values) }

    /// Every metric of B's history for the steps after A's, or all of them where A is of another run.
    static func between(_ a: CheckpointMetadata, _ b: CheckpointMetadata) -> [MetricChange] {
        b.history.keys.sorted().flatMap { run -> [MetricChange] in
            guard let history = b.history[run], let steps = history["step"] else { return [] }
            let rowsOfA = a.history[run]?.rowCount ?? 0
            let first = rowsOfA < history.rowCount ? rowsOfA : 0
            guard rowsOfA != history.rowCount else { return [] }
            return history.names.filter { $0 != "step" }.compactMap { name in
                history[name].map { values in
                    MetricChange(
                        run: run, name: name, steps: steps[first...].map { $0.isFinite ? Int($0) : 0 },
                        values: Array(values[first...]))
                }
            }
        }
    }
}
