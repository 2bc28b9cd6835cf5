import Transformer

/// Finds where numbers that are not finite came from, once they are there.
struct NotFinite {
    let model: Model
    let parameters: ModelParameters

    /// The first parameter with a number that is not finite, and how many it has.
    static func tensor(in parameters: ModelParameters) -> (name: String, count: Int)? {
        for description in parameters.layout {
            guard let values = parameters[description.name] else { continue }
            let count = values.reduce(0) { $0 + ($1.isFinite ? 0 : 1) }
            if count > 0 { return (description.name, count) }
        }
        return nil
    }

    /// In the words of an error: which weights are not finite, or which gradient one pair alone makes so.
    func place(_ pair: TrainingPair, reduction: LossReduction, microBatchTokens: Int, scratch: ModelParameters)
        -> String
    {
        if let (name, count) = Self.tensor(in: parameters) { return "\(name) holds \(count) such numbers" }
        scratch.clear()
        _ = SFTBatch(pair.sequences, reduction: reduction)
            .accumulate(model, microBatchTokens: microBatchTokens, into: scratch)
        defer { scratch.clear() }
        guard let (name, _) = Self.tensor(in: scratch) else { return "all weights are finite" }
        return "all weights are finite, the gradient of \(name) is not"
    }
}
