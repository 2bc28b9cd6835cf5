import CheckpointIO
import OrderedJSON

/// A vocabulary matrix with its new rows and their statistics.
struct ExtendedMatrix {
    let rows: EditedRows
    private let statistics: RowStatistics
    private let norms: [Int: Float]

    init(
        _ sums: RowSums, _ plan: VocabularyPlan, _ options: AddTokensOptions, source: Int?, config: JSON,
        stream: UInt64
    ) throws {
        let old = sums.matrix
        statistics = try RowStatistics(sums, used: 0..<min(plan.tokenizerSizeBefore, plan.rowsBefore))
        let fresh = try NewRows(
            for: plan.freshTokens.map { ($0.id, $0.content) }, in: old, statistics: statistics,
            initialization: options.initialization, source: source,
            rescalesMean: options.rescalesMean, standardDeviation: config["initializer_range"]?.double ?? 0.02,
            seed: options.seed, stream: stream)
        norms = fresh.norms
        rows = EditedRows(old: old, replacements: fresh.bytes, rowCount: plan.rowsAfter)
    }

    var name: String { rows.old.description.name }

    func report(of row: Int) throws -> AddTokensReport.RowReport {
        let norm = try norms[row] ?? (row < rows.old.rows ? euclideanNorm(rows.old.row(row)) : 0)
        return AddTokensReport.RowReport(norm: norm, quantile: statistics.quantile(ofNorm: norm))
    }

    var summary: AddTokensReport.NormSummary {
        AddTokensReport.NormSummary(
            tensor: name, low: statistics.norm(atQuantile: 0.05),
            median: statistics.norm(atQuantile: 0.5), high: statistics.norm(atQuantile: 0.95))
    }
}
