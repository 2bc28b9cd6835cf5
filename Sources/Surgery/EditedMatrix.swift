import CheckpointIO
import OrderedJSON

/// One vocabulary matrix with its new rows, and what to say about them.
struct EditedMatrix {
    let rows: EditedRows
    private let statistics: VocabularyRows
    private let norms: [Int: Float]

    init(
        _ sums: RowSums, _ plan: VocabularyPlan, _ options: AddTokensOptions, source: Int?, config: JSON,
        stream: UInt64
    ) throws {
        let old = sums.matrix
        statistics = try VocabularyRows(sums, used: 0..<min(plan.tokenizerSizeBefore, plan.rowsBefore))
        let fresh = try NewRows(
            for: plan.tokens.filter { $0.origin.needsRow }.map { ($0.id, $0.content) }, in: old,
            statistics: statistics, initialization: options.initialization, source: source,
            rescalesMean: options.rescalesMean, standardDeviation: config["initializer_range"]?.double ?? 0.02,
            seed: options.seed, stream: stream)
        norms = fresh.norms
        rows = EditedRows(old: old, replacements: fresh.bytes, rowCount: plan.rowsAfter)
    }

    func report(of row: Int) throws -> AddTokensReport.RowReport {
        let norm = try norms[row] ?? (row < rows.old.rows ? euclideanNorm(rows.old.row(row)) : 0)
        return AddTokensReport.RowReport(norm: norm, quantile: statistics.quantile(ofNorm: norm))
    }

    var summary: AddTokensReport.NormSummary {
        AddTokensReport.NormSummary(
            tensor: rows.old.description.name, low: statistics.norm(atQuantile: 0.05),
            median: statistics.norm(atQuantile: 0.5), high: statistics.norm(atQuantile: 0.95))
    }
}
