import CheckpointIO
import OrderedJSON
import Synchronization

/// How the tensors of several models are combined.
public enum MergeMethod: String, Sendable, CaseIterable {
    /// Weighted mean; the weights are divided by their sum.
    case linear
    /// Spherical interpolation from the first model to the second, by the second's weight (0 to 1).
    case slerp
    /// base + Σ weight · (model − base).
    case taskArithmetic = "task-arithmetic"
}

/// One weight per model, in general and for the tensors that a pattern matches.
public struct MergeWeights: Sendable {
    /// The weights of tensors that no pattern matches.
    public let general: [Double]
    /// The weights by pattern; the first match applies.
    public let byPattern: [(pattern: NamePattern, weights: [Double])]
    private let patterns: NamePatterns

    /// Creates weights; each list has one weight per model.
    public init(_ general: [Double], byPattern: [(pattern: NamePattern, weights: [Double])] = []) {
        self.general = general
        self.byPattern = byPattern
        patterns = NamePatterns(byPattern.map(\.pattern))
    }

    func weights(for name: String) -> [Double] {
        patterns.indices(matching: name).first.map { byPattern[$0].weights } ?? general
    }
}

/// Merges models of one architecture, tensor by tensor.
///
/// Arithmetic is float32. Storage types, tokenizer, configuration and template are the first model's.
public enum Merge {
    /// Writes the merged model.
    ///
    /// - Parameters:
    ///   - models: at least two, or one and a base.
    ///   - method: how tensors are combined.
    ///   - weights: one per model.
    ///   - base: the model that the others were trained from; only for `taskArithmetic`.
    ///   - destination: where to write the result.
    /// - Returns: what was done.
    /// - Throws: `SurgeryError` if tensors, shapes or weights do not match, or a pattern matches no tensor.
    public static func run(
        _ models: [CheckpointFile], method: MergeMethod, weights: MergeWeights, base: CheckpointFile?,
        to destination: SurgeryDestination
    ) throws -> SurgeryResult {
        guard let first = models.first else {
            throw SurgeryError.badOption(name: "merge", reason: "no model to merge")
        }
        try check(models, method: method, weights: weights, base: base)
        try SurgeryError.require(weights.byPattern.map(\.pattern), toMatchTensorOf: first, option: "--weight")
        var result = SurgeryOutput(
            "merge",
            arguments: [
                "method": .string(method.rawValue), "models": .array(models.map { .string($0.digest) }),
                "weights": .array(weights.general.map { .double($0) }),
                "weights_by_pattern": .array(
                    weights.byPattern.map {
                        ["tensors": .string($0.pattern.text), "weights": .array($0.weights.map { .double($0) })]
                    }),
                "base": base.map { .string($0.digest) } ?? .null,
            ], of: first, to: destination)
        result.metadata.dropTrainingState()
        // The parents' curves and probes do not describe the merged model.
        result.metadata.history = [:]
        result.metadata.probes = []
        var equal = 0
        for tensor in first.tensors() {
            let parts = try models.map { try counterpart(of: tensor, in: $0) }
            let basePart = try base.map { try counterpart(of: tensor, in: $0) }
            let isEqual =
                parts.allSatisfy { $0.tensor.sha256 == tensor.sha256 && $0.tensor.description == tensor.description }
                && method != .taskArithmetic
            if isEqual {
                equal += 1
                result.copy(tensor, from: first)
                continue
            }
            let mixture = TensorMixture(
                method: method, parts: parts, base: basePart, weights: weights.weights(for: tensor.description.name))
            result.tensors.append(
                TensorToWrite(group: .weights, description: tensor.description) { elements, values in
                    try mixture.mix(elements, into: values)
                })
        }
        result.report = ["merged_tensors": .integer(result.tensors.count - equal), "equal_tensors": .integer(equal)]
        return try result.write()
    }

    private static func check(
        _ models: [CheckpointFile], method: MergeMethod, weights: MergeWeights, base: CheckpointFile?
    ) throws {
        switch method {
        case .linear where models.count < 2:
            throw SurgeryError.badOption(name: "merge", reason: "linear needs at least two models")
        case .slerp where models.count != 2:
            throw SurgeryError.badOption(name: "merge", reason: "slerp needs exactly two models")
        case .taskArithmetic where base == nil:
            throw SurgeryError.badOption(
                name: "--base", reason: "task-arithmetic needs the model that the others were trained from")
        case .linear where base != nil, .slerp where base != nil:
            throw SurgeryError.badOption(name: "--base", reason: "only task-arithmetic uses a base")
        default: break
        }
        for set in [weights.general] + weights.byPattern.map(\.weights) {
            guard set.count == models.count, set.allSatisfy(\.isFinite) else {
                throw SurgeryError.badOption(
                    name: "--weight",
                    reason: "expected one weight for each of \(models.count) models, found \(set.count)")
            }
            guard method != .linear || set.reduce(0, +) != 0 else {
                throw SurgeryError.badOption(name: "--weight", reason: "the weights sum to 0; linear needs another sum")
            }
            guard method != .slerp || (set[1] >= 0 && set[1] <= 1) else {
                throw SurgeryError.badOption(
                    name: "--weight", reason: "slerp needs a weight between 0 and 1 for the second model")
            }
        }
        guard let first = models.first else { return }
        for model in models.dropFirst() + [base].compactMap(\.self) {
            let own = Set(first.tensors().map(\.description.name))
            if let extra = model.tensors().map(\.description.name).first(where: { !own.contains($0) }) {
                throw SurgeryError.noTensor(path: first.path, tensor: extra)
            }
        }
    }

    private static func counterpart(of tensor: StoredTensor, in file: CheckpointFile) throws -> TensorRows {
        guard let other = file.tensor(tensor.description.name) else {
            throw SurgeryError.noTensor(path: file.path, tensor: tensor.description.name)
        }
        guard other.description.shape == tensor.description.shape else {
            throw SurgeryError.unsuitableTensor(
                path: file.path, tensor: tensor.description.name,
                reason: "has shape \(other.description.shape), the first model \(tensor.description.shape); "
                    + "merge models of one architecture and vocabulary")
        }
        return TensorRows(file, other)
    }
}
