import CheckpointIO
import OrderedJSON
import Synchronization

/// How tensors of several models become one.
public enum MergeMethod: String, Sendable, CaseIterable {
    /// The weighted mean; weights are divided by their sum.
    case linear
    /// Along the great circle from the first model to the second, by the second's weight (0 to 1).
    case slerp
    /// Base + Σ weight · (model − base).
    case taskArithmetic = "task-arithmetic"
}

/// Weights of the models in a merge: one set for all tensors, others for the tensors a pattern matches.
public struct MergeWeights: Sendable {
    public let general: [Double]
    package let byPattern: [(pattern: NamePattern, weights: [Double])]

    package init(_ general: [Double], byPattern: [(pattern: NamePattern, weights: [Double])] = []) {
        self.general = general
        self.byPattern = byPattern
    }

    func weights(for name: String) -> [Double] { byPattern.first { $0.pattern.matches(name) }?.weights ?? general }
}

/// Merges models of one architecture into one, tensor by tensor: memory for the tensors in flight. Arithmetic is
/// float32, whatever the storage; the result is stored in the first model's types. Tokenizer, configuration and
/// template are the first model's.
public enum Merge {
    /// - Parameters:
    ///   - models: at least two, or one and a base.
    ///   - base: for `taskArithmetic`.
    /// - Throws: `SurgeryError` where tensors, shapes or weights do not fit together.
    public static func run(
        _ models: [CheckpointFile], method: MergeMethod, weights: MergeWeights, base: CheckpointFile?,
        to output: String,
        overwrite: Bool, tool: String, progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> SurgeryResult {
        guard let first = models.first else {
            throw SurgeryError.badOption(name: "merge", reason: "no model to merge")
        }
        try check(models, method: method, weights: weights, base: base)
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
            ], of: first, tool: tool)
        result.metadata.kind = .model
        result.metadata.optimizer = nil
        result.metadata.trainingState = nil
        // Curves and probes are those of one parent and say nothing about the mixture.
        result.metadata.history = [:]
        result.metadata.probes = []
        var equal = 0
        for tensor in first.tensors() {
            let name = tensor.description.name
            let parts = try models.map { try counterpart(of: tensor, in: $0) }
            let basePart = try base.map { try counterpart(of: tensor, in: $0) }
            let share = weights.weights(for: name)
            let isEqual =
                parts.allSatisfy { $0.tensor.sha256 == tensor.sha256 && $0.tensor.description == tensor.description }
                && method != .taskArithmetic
            if isEqual {
                equal += 1
                result.copy(tensor, from: first, in: .weights)
                continue
            }
            let mixture = TensorMixture(method: method, parts: parts, base: basePart, weights: share)
            let type = tensor.description.elementType
            result.tensors.append(
                TensorToWrite(
                    group: .weights, description: tensor.description,
                    content: .bytes { range, target in
                        let elements = range.lowerBound / type.byteCount..<range.upperBound / type.byteCount
                        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: max(elements.count, 1))
                        defer { values.deallocate() }
                        let slice = UnsafeMutableBufferPointer(rebasing: values[..<elements.count])
                        try mixture.mix(elements, into: slice)
                        try ElementConversion.fromFloat32(UnsafeBufferPointer(slice), type, into: target)
                    }))
        }
        result.report = ["merged_tensors": .integer(result.tensors.count - equal), "equal_tensors": .integer(equal)]
        return try result.write(to: output, overwrite: overwrite, progress: progress)
    }

    private static func check(
        _ models: [CheckpointFile], method: MergeMethod, weights: MergeWeights, base: CheckpointFile?
    ) throws {
        switch method {
        case .linear where models.count < 2:
            throw SurgeryError.badOption(name: "merge", reason: "linear wants at least two models")
        case .slerp where models.count != 2:
            throw SurgeryError.badOption(name: "merge", reason: "slerp goes between exactly two models")
        case .taskArithmetic where base == nil:
            throw SurgeryError.badOption(
                name: "--base", reason: "task-arithmetic wants the model the others began from")
        case .linear where base != nil, .slerp where base != nil:
            throw SurgeryError.badOption(name: "--base", reason: "only task-arithmetic has a base")
        default: break
        }
        for set in [weights.general] + weights.byPattern.map(\.weights) {
            guard set.count == models.count, set.allSatisfy(\.isFinite) else {
                throw SurgeryError.badOption(
                    name: "--weight", reason: "\(set.count) weights for \(models.count) models; give one for each")
            }
            guard method != .linear || set.reduce(0, +) != 0 else {
                throw SurgeryError.badOption(name: "--weight", reason: "weights that sum to 0 have no mean")
            }
            guard method != .slerp || (set[1] >= 0 && set[1] <= 1) else {
                throw SurgeryError.badOption(
                    name: "--weight", reason: "slerp wants the second model's weight between 0 and 1")
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
