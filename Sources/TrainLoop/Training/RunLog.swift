/// The metrics of a run as they go by: `metrics.jsonl` and a TensorBoard event file, both in the run's folder.
struct RunLog {
    private let metrics: MetricsLog
    private let board: TensorBoardLog

    /// - Parameter step: of the state that the run goes on from; what earlier logs say of later steps is dropped.
    init(_ folder: RunFolder, after step: Int) throws {
        metrics = try MetricsLog(path: folder.metricsPath, resumingAfter: step)
        board = try TensorBoardLog(folder: folder.tensorBoardPath, resumingAt: step > 0 ? step + 1 : nil)
    }

    func append(step: Int, _ values: [(name: String, value: Double)]) throws {
        let values = values.map { ($0.name, $0.value) }
        try metrics.append(step: step, values)
        try board.append(step: step, values.filter { $0.0 != "step" })
    }
}
