import CheckpointIO
import Foundation
import OrderedJSON

/// Everything a comparison of two checkpoints found.
public struct ComparisonReport: Sendable {
    /// One of the two files.
    public struct Side: Sendable {
        public let path: String
        public let digest: String
        public let kind: CheckpointKind
        public let step: Int
        public let fileByteCount: Int
        public let tensorCount: Int
        public let parameterCount: Int
        public let createdBy: String
        public let lineage: [LineageEntry]

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

    public let a: Side
    public let b: Side
    public let relation: LineageRelation
    public let config: [KeyDifference]
    public let generationConfig: [KeyDifference]
    public let sameChatTemplate: Bool
    public let tokenizer: TokenizerComparison
    public let sameTies: Bool
    public let tensors: [TensorComparison]
    public let controlTokens: [ControlTokenComparison]
    /// Rows of the vocabulary matrices that moved most.
    public let movedRows: [MovedRow]
    public let optimizer: OptimizerComparison?
    /// From the probes that both files carry, unless both models were asked anew.
    public var modePreference: ModePreferenceChange?
    public let metrics: [MetricChange]

    /// Members of config.json that decide what is computed; the others (paths, versions, dtype) do not.
    private static let incidentalKeys: Set<String> = [
        "_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache", "vocab_size", "architectures",
    ]

    /// Same tensors (name, trailing shape) and the same configuration but for incidental members.
    public var sameArchitecture: Bool {
        config.allSatisfy { Self.incidentalKeys.contains($0.path) } && sameTies
            && !tensors.contains { [.added, .removed, .reshaped].contains($0.status) }
    }

    /// Whether the two are one model: same tensors, configuration, tokenizer and template. How they came to be (lineage,
    /// history) does not enter.
    public var isSame: Bool {
        tensors.allSatisfy { $0.status == .identical } && config.isEmpty && generationConfig.isEmpty && sameChatTemplate
            && tokenizer.isSame && sameTies && sameOptimizer
    }

    private var sameOptimizer: Bool {
        guard let optimizer else { return true }
        return optimizer.a == optimizer.b && optimizer.firstMoments?.squaredDifferences ?? 0 == 0
            && optimizer.secondMoments?.squaredDifferences ?? 0 == 0
    }

    /// Tensors that are not identical, the one that moved furthest first.
    public var changed: [TensorComparison] {
        tensors.filter { $0.status != .identical }.sorted { left, right in
            let a = left.statistics?.relativeChange ?? .infinity
            let b = right.statistics?.relativeChange ?? .infinity
            return a != b ? a > b : left.name < right.name
        }
    }

    /// Statistics over all tensors that were compared; identical ones count as identical elements.
    public var total: TensorDifference { Self.total(of: tensors) }

    static func total(of tensors: [TensorComparison]) -> TensorDifference {
        tensors.reduce(into: TensorDifference()) { $0.add($1) }
    }

    /// An estimate of what B takes beside A if only changed elements are kept: their values, and where they are at the
    /// entropy of a random place. Nil where the two do not have the same tensors.
    public var deltaByteCount: Int? {
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

    /// One cell of the layer × role table: nil where the model has no such tensor.
    public struct Cell: Sendable {
        public let layer: Int?
        public let role: TensorRole
        public let statistics: TensorDifference
    }

    /// Statistics by layer (nil for what lies outside of layers) and role, roles in the order of a forward pass.
    public var cells: [Cell] { Self.cells(of: tensors) }

    static func cells(of tensors: [TensorComparison]) -> [Cell] {
        struct Key: Hashable {
            let layer: Int?
            let role: TensorRole
        }
        var sums: [Key: TensorDifference] = [:]
        for tensor in tensors {
            let key = Key(layer: tensor.layer, role: tensor.role)
            guard tensor.statistics != nil || tensor.status == .identical else { continue }
            sums[key, default: TensorDifference()].add(tensor)
        }
        return sums.map { Cell(layer: $0.key.layer, role: $0.key.role, statistics: $0.value) }.sorted { left, right in
            let order = TensorRole.allCases
            let a = (left.layer ?? -1, order.firstIndex(of: left.role) ?? 0)
            let b = (right.layer ?? -1, order.firstIndex(of: right.role) ?? 0)
            return a < b
        }
    }
}
