import OrderedJSON

/// A LoRA adapter of a checkpoint: what its tensors in `TensorGroup.adapter` mean.
///
/// The weights of the checkpoint are merged: each targeted weight is `W + scaling · B·A` (Hu et al. 2021,
/// arXiv 2106.09685), where `W` is in `TensorGroup.base`. Names and numbers are those of PEFT.
public struct AdapterRecord: Sendable, Equatable {
    /// The rank r of every pair of matrices.
    public var rank: Int
    /// PEFT's `lora_alpha`.
    public var alpha: Double
    /// Whether the product is scaled by α/√r instead of α/r (rsLoRA, arXiv 2312.03732).
    public var usesRankStabilizedScaling: Bool
    /// The probability with which training drops an input of A.
    public var dropout: Double
    /// The targeted modules, for example `q_proj`, or `qkv_proj` where the model stores them fused.
    public var targets: [String]
    /// The trained rows of embedding and head, ascending.
    public var rows: [Int]
    /// The weights digest of the base model.
    public var baseDigest: String
    /// Where the base model was.
    public var basePath: String

    public init(
        rank: Int, alpha: Double, usesRankStabilizedScaling: Bool = false, dropout: Double = 0, targets: [String],
        rows: [Int] = [], baseDigest: String, basePath: String
    ) {
        self.rank = rank
        self.alpha = alpha
        self.usesRankStabilizedScaling = usesRankStabilizedScaling
        self.dropout = dropout
        self.targets = targets
        self.rows = rows
        self.baseDigest = baseDigest
        self.basePath = basePath
    }

    /// The factor of the product B·A.
    public var scaling: Double {
        alpha / (usesRankStabilizedScaling ? Double(rank).squareRoot() : Double(rank))
    }
}

extension AdapterRecord {
    static let path = "/adapter_config"
    private static let keys = [
        "r", "lora_alpha", "use_rslora", "lora_dropout", "target_modules", "trainable_token_indices", "base_digest",
        "base_path",
    ]

    /// Decodes the record; nil if the checkpoint has no adapter.
    init?(from records: RecordReader) throws {
        let groups = [TensorGroup.adapter.path, TensorGroup.base.path].filter { records.groups.contains($0) }
        guard let text = try records.optionalText(Self.path) else {
            if let group = groups.first { throw records.damaged(group, "belongs to no \(Self.path)") }
            return nil
        }
        let needed = records.values[Self.adaptedWeightsPath] == nil ? 2 : 1
        guard groups.count == needed, groups[0] == TensorGroup.adapter.path else {
            throw records.damaged(
                Self.path,
                needed == 2
                    ? "has no tensors in /adapter and /base" : "has no tensors in /adapter, or some in /base as well")
        }
        guard let members = try? JSON.parse(text).object, members.keys == Self.keys,
            let rank = members["r"]?.int, let alpha = members["lora_alpha"]?.double,
            let usesRankStabilizedScaling = members["use_rslora"]?.bool,
            let dropout = members["lora_dropout"]?.double, let targets = members["target_modules"]?.array,
            let rows = members["trainable_token_indices"]?.array, let baseDigest = members["base_digest"]?.string,
            let basePath = members["base_path"]?.string
        else { throw records.damaged(Self.path, "is not a JSON object of \(Self.keys.joined(separator: ", "))") }
        self.init(
            rank: rank, alpha: alpha, usesRankStabilizedScaling: usesRankStabilizedScaling, dropout: dropout,
            targets: targets.compactMap(\.string), rows: rows.compactMap(\.int), baseDigest: baseDigest,
            basePath: basePath)
        guard self.targets.count == targets.count, self.rows.count == rows.count else {
            throw records.damaged(Self.path, "has a target that is not a text, or a row that is not an integer")
        }
        if let problem { throw records.damaged(Self.path, problem) }
    }

    func write(to records: inout RecordWriter, adaptedWeights: [String: String]) {
        records.group(TensorGroup.adapter.path)
        if adaptedWeights.isEmpty { records.group(TensorGroup.base.path) }
        records.dataset(Self.path, text: json.serialized())
        guard !adaptedWeights.isEmpty else { return }
        let digests = adaptedWeights.sorted { $0.key < $1.key }.map { ($0.key, JSON.string($0.value)) }
        records.dataset(Self.adaptedWeightsPath, text: JSON.object(JSONObject(digests)).serialized())
    }

    /// Where a file without weights has their digests.
    static let adaptedWeightsPath = "/adapted_weights"

    /// The SHA-256 of each weight that the adapter changes; empty if the file has the weights.
    static func adaptedWeights(from records: RecordReader) throws -> [String: String] {
        guard let text = try records.optionalText(adaptedWeightsPath) else { return [:] }
        guard let members = try? JSON.parse(text).object, !members.isEmpty else {
            throw records.damaged(adaptedWeightsPath, "is not a JSON object of digests")
        }
        return try Dictionary(
            members.map { name, digest in
                guard let digest = digest.string, SHA256.isDigest(digest) else {
                    throw records.damaged(adaptedWeightsPath, "has a value that is not a digest")
                }
                return (name, digest)
            }, uniquingKeysWith: { first, _ in first })
    }

    /// The record as it is stored.
    package var json: JSON {
        let values: [JSON] = [
            .integer(rank), .double(alpha), .bool(usesRankStabilizedScaling), .double(dropout),
            .array(targets.map(JSON.string)), .array(rows.map(JSON.integer)), .string(baseDigest), .string(basePath),
        ]
        return .object(JSONObject(zip(Self.keys, values)))
    }

    /// Which number or name is out of range, or nil.
    private var problem: String? {
        if !(1...1 << 16).contains(rank) { return "has a rank outside 1...65536" }
        if !(alpha > 0 && alpha.isFinite) { return "has an alpha that is not positive and finite" }
        if !(0..<1).contains(dropout) { return "has a dropout outside 0..<1" }
        if targets.isEmpty || Set(targets).count < targets.count { return "has no targets, or one twice" }
        if let target = targets.first(where: { !Self.isModule($0) }) { return "has a target \(target), not a module" }
        let isAscending = zip(rows, rows.dropFirst()).allSatisfy { $0 < $1 }
        if !isAscending || !rows.allSatisfy(CheckpointLayout.counters.contains) {
            return "has rows that are negative or not ascending"
        }
        if !SHA256.isDigest(baseDigest) { return "has a base_digest that is not a digest" }
        if basePath.isEmpty || basePath.utf8.contains(0) { return "has an empty base_path, or one with a NUL" }
        return nil
    }

    private static func isModule(_ name: String) -> Bool {
        CheckpointLayout.problem(withTensorName: name) == nil && !name.contains(".")
    }
}
