import Transformer

/// Finds the source of numbers that are not finite, after a loss or gradient turned out not to be.
struct NonFiniteSearch {
    let model: Model
    let parameters: ModelParameters
    let options: SFTOptions
    /// A gradient buffer that the search may overwrite.
    let scratch: ModelParameters

    /// The loss or gradient of a batch that is not finite, in the words of an error.
    func source(in pairs: [TrainingPair], _ totals: SFTBatch.Totals) -> String {
        if let sequence = totals.firstNotFinite {
            let pair = pairs[sequence / 2]
            return "the loss of pair \(pair.id), \(TrainingPair.half(sequence)) half (\(place(pair))),"
        }
        // One pair may be enough to cause it; otherwise the sum of all overflows.
        let culprit = pairs.first { pair in
            accumulate(pair)
            return scratch.firstNotFinite != nil
        }
        let place = scratch.firstNotFinite?.name ?? "all parameters together"
        return "the gradient of \(place), caused by \(culprit.map { "pair \($0.id)" } ?? "all pairs of the update"),"
    }

    /// Which weights are not finite, or which gradient is not for this pair alone.
    private func place(_ pair: TrainingPair) -> String {
        if let (name, count) = parameters.firstNotFinite {
            return "\(name) holds \(count) such \(count == 1 ? "number" : "numbers")"
        }
        accumulate(pair)
        defer { scratch.clear() }
        guard let (name, _) = scratch.firstNotFinite else { return "all weights are finite" }
        return "all weights are finite, the gradient of \(name) is not"
    }

    private func accumulate(_ pair: TrainingPair) {
        scratch.clear()
        _ = SFTBatch(pair.sequences, reduction: options.loss.reduction)
            .accumulate(model, microBatchTokens: options.optimizer.microBatchTokens, into: scratch)
    }
}
