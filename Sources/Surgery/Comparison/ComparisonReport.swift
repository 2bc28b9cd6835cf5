import CheckpointIO
import Foundation
import OrderedJSON

/// The result of comparing two checkpoints.
public struct ComparisonReport: Sendable {
    /// One of the two checkpoints.
    package struct Side: Sendable {
        package let path: String
        package let digest: String
        package let kind: CheckpointKind
        package let step: Int
        package let fileByteCount: Int
        package let tensorCount: Int
        package let parameterCount: Int
        package let createdBy: String
        package let lineage: [LineageEntry]

        init(_ file: CheckpointFile) {
            path = file.path
            digest = file.digest
            kind = file.metadata.kind
            step = file.metadata.step
            fileByteCount = file.fileByteCount
            let tensors = file.tensors()
            tensorCount = tensors.count
            parameterCount = tensors.reduce(0) { $0 + $1.description.elementCount }
            createdBy = file.metadata.createdBy
            lineage = file.metadata.lineage.compactMap(LineageEntry.init(text:))
        }
    }

    package let a: Side
    package let b: Side
    package let relation: LineageRelation
    /// Of a GGUF file, only the settings that it has.
    package let config: [KeyDifference]
    /// Whether both configurations, of which one was made from another format, describe the same model.
    let sameConfiguration: Bool
    package let generationConfig: [KeyDifference]
    package let sameChatTemplate: Bool
    package let tokenizer: TokenizerComparison
    package let sameTies: Bool
    package let tensors: [TensorComparison]
    package let controlTokens: [ControlTokenComparison]
    /// The rows of the vocabulary matrices that moved most.
    package let movedRows: [MovedRow]
    package let optimizer: OptimizerComparison?
    package let adapters: AdapterComparison?
    /// From the probes in both files; a caller may replace it with a new measurement.
    package var modePreference: ModePreferenceChange?
    package let metrics: [MetricChange]

    /// Members of config.json that do not affect the architecture.
    private static let incidentalKeys: Set<String> = [
        "_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache", "vocab_size", "architectures",
    ]

    /// Whether the tensors (names and trailing dimensions), ties and the relevant configuration are the same.
    public var sameArchitecture: Bool {
        (sameConfiguration || config.allSatisfy { Self.incidentalKeys.contains($0.path) }) && sameTies
            && !tensors.contains { [.added, .removed, .reshaped].contains($0.status) }
    }

    /// Whether the models are the same: tensors, optimizer, adapter, configuration, tokenizer and chat template.
    ///
    /// Lineage and history are not compared.
    public var isSame: Bool {
        tensors.allSatisfy { $0.status == .identical } && config.isEmpty && generationConfig.isEmpty && sameChatTemplate
            && tokenizer.isSame && sameTies && sameOptimizer && adapters?.isSame ?? true
    }

    private var sameOptimizer: Bool {
        guard let optimizer else { return true }
        return optimizer.a == optimizer.b && optimizer.firstMoments?.squaredDifferences ?? 0 == 0
            && optimizer.secondMoments?.squaredDifferences ?? 0 == 0
    }

    /// The tensors that are not identical, by descending relative change.
    package var changed: [TensorComparison] {
        tensors.filter { $0.status != .identical }.sorted { left, right in
            let a = left.statistics?.relativeChange ?? .infinity
            let b = right.statistics?.relativeChange ?? .infinity
            return a != b ? a > b : left.name < right.name
        }
    }

    /// Statistics over all compared tensors, including identical ones.
    package var total: TensorDifference { Self.total(of: tensors) }

    static func total(of tensors: [TensorComparison]) -> TensorDifference {
        tensors.reduce(into: TensorDifference()) { $0.append($1) }
    }

    /// An estimate of the bytes needed to store B as a delta from A; nil if their tensors do not match.
    ///
    /// Counts the changed elements and the entropy of their positions.
    package var deltaByteCount: Int? {
        guard !tensors.contains(where: { [.added, .removed, .reshaped, .retyped].contains($0.status) }) else {
            return nil
        }
        return tensors.reduce(0) { sum, tensor in
            guard let statistics = tensor.statistics, statistics.elementCount > 0 else { return sum }
            let changed = statistics.elementCount - statistics.identicalCount
            let share = Double(changed) / Double(statistics.elementCount)
            let bits = share > 0 && share < 1 ? -share * log2(share) - (1 - share) * log2(1 - share) : 0
            return sum + changed * (tensor.typeB?.byteCount ?? 0) + Int(bits / 8 * Double(statistics.elementCount))
        }
    }

    /// A cell of the layer × role table.
    package struct Cell: Sendable {
        /// nil outside of layers.
        package let layer: Int?
        package let role: TensorRole
        package let statistics: TensorDifference
    }

    /// Statistics by layer and role, with roles in the order of a forward pass.
    package var cells: [Cell] { Self.cells(of: tensors) }

    static func cells(of tensors: [TensorComparison]) -> [Cell] {
        struct Key: Hashable {
            let layer: Int?
            let role: TensorRole
        }
        var sums: [Key: TensorDifference] = [:]
        for tensor in tensors {
            let key = Key(layer: tensor.layer, role: tensor.role)
            guard tensor.statistics != nil || tensor.status == .identical else { continue }
            sums[key, default: TensorDifference()].append(tensor)
        }
        return sums.map { Cell(layer: $0.key.layer, role: $0.key.role, statistics: $0.value) }.sorted { left, right in
            let order = TensorRole.allCases
            let a = (left.layer ?? -1, order.firstIndex(of: left.role) ?? 0)
            let b = (right.layer ?? -1, order.firstIndex(of: right.role) ?? 0)
            return a < b
        }
    }
}
