/// The results of the updates of one step.
struct UpdateSummary {
    /// The loss and its parts, one entry per update.
    var totals: [PolicyTotals] = []
    /// The share of clipped tokens among all tokens of an update.
    var clippedFractions: [Double] = []
    var gradientNorms: [Double] = []
    var controlGradientNorms: [Double] = []
    var responseGradientNorms: [Double] = []
    /// |model − sampler| log-probability at the first update, where both are the same policy.
    var difference: (mean: Double, maximum: Double) = (0, 0)
    /// The weight of the control token relative to `grpo`, at the first update.
    var relativeControlWeight = 0.0

    /// Means over the updates.
    var metrics: MetricRow {
        func mean(_ value: (PolicyTotals) -> Double) -> Double { Self.mean(totals.map(value)) }
        var row: MetricRow = [
            "loss": mean(\.loss), "control_loss": mean(\.controlLoss), "response_loss": mean(\.responseLoss),
            "pg_clipfrac": Self.mean(clippedFractions), "ppo_kl_computed": mean(\.meanNegativeLogRatio),
            "kl_loss": mean(\.kl), "entropy": mean(\.meanEntropy), "grad_norm": Self.mean(gradientNorms),
        ]
        if !controlGradientNorms.isEmpty {
            row.append("grad_norm_control", Self.mean(controlGradientNorms))
            row.append("grad_norm_response", Self.mean(responseGradientNorms))
        }
        row.append([
            "logp_difference_mean": difference.mean, "logp_difference_max": difference.maximum,
            "control_weight_relative": relativeControlWeight,
        ])
        return row
    }

    private static func mean(_ values: [Double]) -> Double {
        values.isEmpty ? .nan : values.reduce(0, +) / Double(values.count)
    }
}
