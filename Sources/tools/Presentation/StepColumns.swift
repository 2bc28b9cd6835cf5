import OrderedJSON
import TrainLoop

/// How the steps of a stage are shown: the columns between the number of the step and the time left.
package struct StepColumns: Sendable {
    private struct Column: Sendable {
        let layout: StepTable.Column
        let text: @Sendable (MetricRow) -> String

        init(_ top: String, _ bottom: String, _ width: Int, rank: Int, gap: Int = 2, _ metric: String) {
            self.init(top, bottom, width, rank: rank, gap: gap) { $0[metric] ?? .nan }
        }

        init(
            _ top: String, _ bottom: String, _ width: Int, rank: Int, gap: Int = 2,
            value: @escaping @Sendable (MetricRow) -> Double
        ) {
            layout = StepTable.Column(top, bottom, width, rank: rank, gap: gap)
            text = { Format.number(value($0), width: width) }
        }

        /// The sum of metrics that count.
        init(_ top: String, _ bottom: String, _ width: Int, rank: Int, gap: Int = 2, counts: [String]) {
            layout = StepTable.Column(top, bottom, width, rank: rank, gap: gap)
            text = { row in
                let count = counts.reduce(0) { $0 + (row[$1] ?? .nan) }
                return count.isFinite ? Format.grouped(Int(saturating: count)) : "–"
            }
        }

        /// A share in percent.
        init(
            _ top: String, _ bottom: String, rank: Int, gap: Int = 2,
            share: @escaping @Sendable (MetricRow) -> Double
        ) {
            layout = StepTable.Column(top, bottom, 5, rank: rank, gap: gap)
            text = { Format.percent(share($0)) }
        }
    }

    package let table: StepTable
    private let columns: [Column]

    private init(totalSteps: Int, _ columns: [Column]) {
        let step = StepTable.Column("", "step", 2 * max(String(totalSteps).count, 2) + 1, rank: 1)
        table = StepTable([step] + columns.map(\.layout) + [StepTable.Column("", "left", 6, rank: 3)])
        self.columns = columns
    }

    /// The texts of a row.
    package func row(step: Int, of total: Int, _ metrics: MetricRow, secondsLeft: Double) -> [String] {
        ["\(step)/\(total)"] + columns.map { $0.text(metrics) } + [Format.briefDuration(secondsLeft)]
    }

    /// Supervised fine-tuning.
    package static func warmUp(totalSteps: Int) -> StepColumns {
        StepColumns(
            totalSteps: totalSteps,
            [
                Column("", "loss", 7, rank: 2, "loss"), Column("control", "loss", 7, rank: 4, "control_loss"),
                Column("think", "loss", 7, rank: 6, "think_loss"), Column("short", "loss", 7, rank: 6, "short_loss"),
                Column("grad", "norm", 5, rank: 7, "grad_norm"), Column("", "lr", 8, rank: 8, "lr"),
                Column("tokens", "per s", 7, rank: 5, "tokens_per_second"),
            ])
    }

    /// Reinforcement learning: reward and use of the modes first.
    ///
    /// - Parameters:
    ///   - totalSteps: the number of steps.
    ///   - showsKL: whether the loss has a KL term.
    /// - Returns: the columns.
    package static func reinforcement(totalSteps: Int, showsKL: Bool) -> StepColumns {
        var columns = [
            Column("", "reward", 6, rank: 2, "reward_mean"),
            Column("share", "think", rank: 2) { row in
                let think = row["num_think"] ?? .nan
                let chosen = think + (row["num_short"] ?? .nan)
                return chosen > 0 ? think / chosen : .nan
            },
            Column("right", "think", rank: 4) { $0["acc_think"] ?? .nan },
            Column("right", "short", rank: 4, gap: 1) { $0["acc_short"] ?? .nan },
            Column("tokens", "think", 6, rank: 5, "response_length_think"),
            Column("tokens", "short", 6, rank: 5, gap: 1, "response_length_short"),
            Column("mal-", "formed", 6, rank: 6, counts: ["malformed"]),
            Column("trun-", "cated", 5, rank: 7, gap: 1, counts: ["truncated_think", "truncated_short"]),
            Column("grad", "norm", 5, rank: 8, "grad_norm"), Column("", "entropy", 7, rank: 9, "entropy"),
            Column("", "loss", 9, rank: 10, "loss"),
        ]
        if showsKL { columns.append(Column("", "KL", 8, rank: 11, "kl_loss")) }
        return StepColumns(totalSteps: totalSteps, columns + [Column("s per", "step", 5, rank: 12, "seconds_step")])
    }
}
