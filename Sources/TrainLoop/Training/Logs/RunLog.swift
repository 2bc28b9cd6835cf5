/// The metrics of a run, written to `metrics.jsonl` and to a TensorBoard event file in the run's folder.
struct RunLog {
    private let metrics: MetricsLog
    private let board: TensorBoardLog
    /// What was left out of `metrics.jsonl`, for a report; nil if nothing was.
    let damage: String?

    /// Opens both logs.
    ///
    /// Rows after `step`, the step that a resumed run continues from, are dropped.
    ///
    /// - Throws: `DataFileError`.
    init(_ folder: RunFolder, after step: Int) throws {
        metrics = try MetricsLog(path: folder.metricsPath, resumingAfter: step)
        damage = metrics.damage.text(
            of: folder.metricsPath, remedy: "the states have their metrics; the log as it was stays beside as .damaged")
        board = try TensorBoardLog(folder: folder.tensorBoardPath, resumingAt: step > 0 ? step + 1 : nil)
    }

    /// - Throws: `DataFileError`.
    func append(step: Int, _ row: MetricRow) throws {
        let values = row.values.filter { $0.name != "step" }
        try metrics.append(step: step, MetricRow(values))
        try board.append(step: step, MetricRow(values))
    }
}
