import CheckpointIO
import Transformer

/// The parameters that an update changes, and how fast.
struct TrainedParameters: Sendable {
    /// What has a gradient and moments.
    let layout: TrainedLayout
    /// The number format of the trained weights.
    let weights: WeightPrecision
    /// The adapters, if these are trained instead of the model.
    let adapters: AdapterRecord?
    /// Factors on the learning rate of single rows.
    private let rowScales: [RowScale]

    /// Everything but what `--freeze` names, the rows of the control tokens alone, or the adapters of `--lora`.
    ///
    /// - Parameters:
    ///   - options: what is trained, and in which number format.
    ///   - file: the checkpoint to start from or to resume.
    ///   - configuration: its configuration.
    ///   - control: the control tokens.
    ///   - controlScale: a factor on the learning rate of the control tokens' rows.
    ///   - resuming: whether the checkpoint is a state of this run.
    /// - Throws: `FreezeError`, `OptionError`, `TrainingStateError`.
    init(
        _ options: OptimizerOptions, of file: CheckpointFile, _ configuration: ModelConfiguration,
        control: ControlTokens, controlScale: Double = 1, resuming: Bool
    ) throws {
        let rows = control.rows
        // With tied weights the head is the embedding.
        let matrices = ["model.embed_tokens.weight"] + (configuration.tiesWordEmbeddings ? [] : ["lm_head.weight"])
        let others = configuration.parameters.map(\.name).filter { !matrices.contains($0) }
        let onlyControl = options.trainRows == .control
        weights = options.weights
        adapters = try options.adapters?.record(of: file, configuration, control: control, resuming: resuming)
        layout =
            if let adapters {
                TrainedLayout(configuration, adapters: adapters)
            } else {
                TrainedLayout(
                    configuration,
                    frozen: try Self.frozen(
                        options.freeze, beside: onlyControl ? others : [], in: configuration),
                    onlyRows: onlyControl ? Dictionary(uniqueKeysWithValues: matrices.map { ($0, rows) }) : [:])
            }
        rowScales =
            controlScale == 1
            ? [] : matrices.flatMap { name in rows.map { RowScale(name: name, row: $0, factor: Float(controlScale)) } }
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

    /// Makes one step of the optimizer, with the gradient scaled down to `clipNorm`.
    ///
    /// The state's parameters and moments change, its step does not. `norm` is the norm of `gradients`; with a
    /// `clipNorm` of 0 there is no limit.
    func update(
        _ state: inout TrainingState, gradients: ModelParameters, norm: Double, learningRate: Double, clipNorm: Double
    ) {
        state.optimizer.update(
            state.parameters, gradients: gradients, learningRate: Float(learningRate),
            gradientScale: clipScale(norm: norm, limit: clipNorm), rowLearningRateScale: rowScales)
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
