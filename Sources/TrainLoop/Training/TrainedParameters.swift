import CheckpointIO
import Transformer

/// The parameters that an update changes, and how fast.
struct TrainedParameters: Sendable {
    /// Names of the parameters that are not trained.
    let frozen: Set<String>
    /// The only rows that are trained, ascending, of some matrices; empty if every row is.
    private let onlyRows: [String: [Int]]
    /// Factors on the learning rate of single rows.
    private let rowScales: [RowScale]

    /// Everything but what `--freeze` names.
    ///
    /// - Throws: `FreezeError`.
    init(_ options: OptimizerOptions, in configuration: ModelConfiguration) throws {
        frozen = try Self.frozen(options.freeze, beside: [], in: configuration)
        onlyRows = [:]
        rowScales = []
    }

    /// The parameters of a warm-up: the rows of the control tokens in embedding and head learn faster, or alone.
    ///
    /// - Throws: `FreezeError`.
    init(_ options: SFTOptions, control: ControlTokens, in configuration: ModelConfiguration) throws {
        let rows = control.rows
        // With tied weights the head is the embedding.
        let matrices = ["model.embed_tokens.weight"] + (configuration.tiesWordEmbeddings ? [] : ["lm_head.weight"])
        let others = configuration.parameters.map(\.name).filter { !matrices.contains($0) }
        let onlyControl = options.loss.trainRows == .control
        frozen = try Self.frozen(options.optimizer.freeze, beside: onlyControl ? others : [], in: configuration)
        onlyRows = onlyControl ? Dictionary(uniqueKeysWithValues: matrices.map { ($0, rows) }) : [:]
        let scale = options.loss.controlLearningRateScale
        rowScales =
            scale == 1
            ? [] : matrices.flatMap { name in rows.map { RowScale(name: name, row: $0, factor: Float(scale)) } }
    }

    private static func frozen(
        _ patterns: [String], beside others: [String], in configuration: ModelConfiguration
    ) throws -> Set<String> {
        let all = configuration.parameters.map(\.name)
        let lookup = NamePatterns(patterns.map(NamePattern.init))
        if let pattern = lookup.firstWithoutMatch(in: all) { throw FreezeError.matchesNothing(pattern.text) }
        let names = Set(others).union(all.filter { !lookup.indices(matching: $0).isEmpty })
        guard names.count < all.count else { throw FreezeError.matchesEverything }
        return names
    }

    /// Sets the gradient of everything that is not trained to 0, which also removes it from the gradient's norm.
    func clearUntrained(_ gradients: ModelParameters) {
        for name in frozen { gradients[name]?.update(repeating: 0) }
        let columns = gradients.configuration.hiddenSize
        for (name, rows) in onlyRows {
            guard let values = gradients[name] else { continue }
            var first = 0
            for row in rows + [values.count / columns] {
                let end = min(row * columns, values.count)
                if end > first { UnsafeMutableBufferPointer(rebasing: values[first..<end]).update(repeating: 0) }
                first = end + columns
            }
        }
    }

    /// Makes one step of the optimizer, with the gradient scaled down to `clipNorm`.
    ///
    /// The state's parameters and moments change, its step does not. `norm` is the norm of `gradients`; with a
    /// `clipNorm` of 0 there is no limit.
    func update(
        _ state: inout TrainingState, gradients: ModelParameters, norm: Double, learningRate: Double, clipNorm: Double
    ) {
        state.optimizer.update(
            state.parameters, gradients: gradients, learningRate: Float(learningRate),
            gradientScale: clipScale(norm: norm, limit: clipNorm), rowLearningRateScale: rowScales, frozen: frozen,
            onlyRows: onlyRows)
    }
}

extension ControlTokens {
    /// The rows of the control tokens in the vocabulary, ascending.
    var rows: [Int] { [think, thinkEnd, short].sorted() }
}

/// A `--freeze` that cannot be applied.
enum FreezeError: Error, CustomStringConvertible {
    case matchesNothing(String)
    case matchesEverything

    var description: String {
        switch self {
        case .matchesNothing(let pattern):
            "--freeze \(pattern) matches no parameter; `ckpt inspect --tensors` lists them"
        case .matchesEverything: "--freeze leaves nothing to train"
        }
    }
}
