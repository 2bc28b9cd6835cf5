import CheckpointIO
import Transformer

/// Which rows of the vocabulary matrices an update changes, and how fast.
struct TrainedRows {
    /// Rows of the control tokens, ascending.
    let control: [Int]
    private let matrices: [String]
    private let onlyControl: Bool

    init(_ tokens: ControlTokens, in configuration: ModelConfiguration, only: Bool) {
        control = [tokens.think, tokens.thinkEnd, tokens.short].sorted()
        // A tied head is the embedding.
        matrices = ["model.embed_tokens.weight"] + (configuration.tiesWordEmbeddings ? [] : ["lm_head.weight"])
        onlyControl = only
    }

    /// Every parameter that holds no such row, where only these rows are trained.
    func frozen(in configuration: ModelConfiguration) -> [String] {
        onlyControl ? configuration.parameters.map(\.name).filter { !matrices.contains($0) } : []
    }

    /// The rows that alone are trained, by matrix; empty where all are.
    var only: [String: [Int]] {
        onlyControl ? Dictionary(uniqueKeysWithValues: matrices.map { ($0, control) }) : [:]
    }

    func scales(_ factor: Double) -> [RowScale] {
        guard factor != 1 else { return [] }
        return matrices.flatMap { name in control.map { RowScale(name: name, row: $0, factor: Float(factor)) } }
    }

    /// Takes what is not trained out of the gradient, and so out of its norm.
    func clear(_ gradients: ModelParameters) {
        guard onlyControl else { return }
        for name in matrices {
            guard let values = gradients[name] else { continue }
            let columns = gradients.configuration.hiddenSize
            var first = 0
            for row in control + [values.count / columns] {
                let end = min(row * columns, values.count)
                if end > first { UnsafeMutableBufferPointer(rebasing: values[first..<end]).update(repeating: 0) }
                first = end + columns
            }
        }
    }
}
