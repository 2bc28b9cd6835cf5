import Foundation

/// Checks the invariants of a run's first step, and reports what its options amount to.
struct FirstStepCheck {
    let options: RLOptions
    /// Whether the reference policy is the model that the run starts from.
    let referenceIsStart: Bool

    /// - Throws: `TrainingFailure.invariant`.
    func check(_ summary: UpdateSummary, _ report: TrainingReport) throws {
        // The first update scores the sampled tokens with the policy that sampled them. With rounded factors single
        // tokens differ, because sums are computed in another order, but the mean must agree.
        let isRounded = options.optimizer.products == .bf16
        let (difference, limit) = isRounded ? (summary.difference.mean, 0.05) : (summary.difference.maximum, 0.01)
        guard difference < limit else {
            throw TrainingFailure.invariant(
                step: 1,
                "the log-probability of a sampled token differs by \(difference) between training and sampling")
        }
        if referenceIsStart, let kl = summary.totals.first?.kl {
            switch options.loss.referencePrecision {
            case .fp32:
                guard abs(kl) < (isRounded ? 1e-2 : 1e-4) else {
                    throw TrainingFailure.invariant(step: 1, "the KL to the start is \(kl) before any update")
                }
            case .bf16:
                report(
                    .note(
                        "rounding the reference to bfloat16 causes a KL of \(String(format: "%.2g", kl)) at the start; "
                            + "--reference-precision fp32 avoids it"))
            }
        }
        guard options.loss.kind.weighsControlToken else { return }
        let weight = summary.relativeControlWeight
        let text = "the control token has \(String(format: "%.3g", weight)) times its weight under plain GRPO"
        report(
            weight < 1
                ? .warning(
                    text + ", so the choice of mode is learned more slowly; raise --alpha, or use --alpha auto=K")
                : .note(text))
    }
}
