import Surgery

extension ComparisonReport.Side {
    /// The stage of training that the step counts, from the lineage; nil without training.
    var stage: String? {
        let operation = lineage.last { ["train-sft", "train-rl"].contains($0.operation) }?.operation
        return operation.map { String($0.dropFirst("train-".count)) }
    }

    /// A step with its stage of training, if there is one: "rl step 4", "step 0".
    func named(_ step: Int) -> String { (stage.map { "\($0) " } ?? "") + "step \(step)" }
}

extension ComparisonReport {
    /// A step of A and a step of B: "step 2 → 6" within a stage of training, "sft step 6 → rl step 4" across stages.
    func steps(_ stepA: Int, _ stepB: Int) -> String {
        guard a.stage != b.stage else { return stepA == stepB ? "step \(stepA)" : "step \(stepA) → \(stepB)" }
        return [a.named(stepA), b.named(stepB)].joined(separator: " → ")
    }
}
