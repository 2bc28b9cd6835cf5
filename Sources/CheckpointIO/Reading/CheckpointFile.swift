/// An opened checkpoint: its metadata, and its tensors to be read whole or in part.
///
/// A model of another format that `ModelReader` opens is one, too; its tensors are read in place.
///
/// Opening checks the structure of the file, the metadata and both digests. Reading checks every chunk that it decodes;
/// `verify()` checks all of them. The file is not trusted: a damaged or forged file throws a `CheckpointError`.
///
/// ```swift
/// let file = try CheckpointFile(path: "model.h5")
/// print(file.metadata.kind, file.metadata.step, file.digest)
/// for tensor in file.tensors() {
///     print(tensor.description.name, tensor.description.elementType, tensor.description.shape)
/// }
/// if let norm = file.tensor("model.norm.weight") {
///     var values = [Float](repeating: 0, count: norm.description.elementCount)
///     try values.withUnsafeMutableBufferPointer { try file.readFloat32("model.norm.weight", into: $0) }
/// }
/// for damage in try file.verify() { print(damage) }
/// ```
///
/// Objects are immutable and thread-safe. The file stays open and must not change while the object exists; `ckpt` never
/// changes a checkpoint in place.
public final class CheckpointFile: Sendable {
    public let path: String
    /// Everything in the file except the tensors.
    public let metadata: CheckpointMetadata
    /// Identifies the content of all tensors: a SHA-256 in hexadecimal.
    ///
    /// Empty for a model of another format, unless it was opened to be hashed.
    public let digest: String
    /// What the file says about itself if it is a delta; all else is that of the state it stands for.
    public let delta: DeltaRecord?
    /// Files that have to be read before this one, if it is a delta or keeps only an adapter.
    package let chainLength: Int
    /// The size of the file, or of the tensors in files of another format.
    public let fileByteCount: Int
    /// The format, and what was noted when the model was opened; nil for a checkpoint.
    public let origin: ModelOrigin?
    private let container: (source: HDF5Source, reader: ChunkReader)?
    private let groups: [TensorGroup: [StoredTensor]]
    private let numbers: [TensorGroup: [String: Int]]

    /// Opens and checks a checkpoint.
    ///
    /// - Throws: `CheckpointError`: `.system`, `.damaged`, `.unsupported` or `.newerVersion`.
    public convenience init(path: String) throws { try self.init(path: path, checkingDigests: true) }

    /// Opens a delta on a given base, wherever the base was when the delta was made.
    ///
    /// - Throws: `CheckpointError.missingDeltaBase` if it belongs to another base, `.invalid` if it is not a delta.
    public convenience init(delta path: String, on base: CheckpointFile) throws {
        try self.init(path: path, checkingDigests: true, base: base)
        guard delta != nil else {
            throw CheckpointError.invalid(
                name: path, problem: "is a whole checkpoint, which needs no base; give a file that `ckpt delta` wrote")
        }
    }

    /// Opens a checkpoint.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - checkingDigests: Fuzzing turns this off so that damage reaches the code behind the digests.
    ///   - depth: The number of files whose base is being opened.
    ///   - base: The base of a delta; nil: it is where the delta says, or beside it.
    /// - Throws: `CheckpointError`.
    package init(path: String, checkingDigests: Bool, depth: Int = 0, base: CheckpointFile? = nil) throws {
        self.path = path
        try OtherModelFormat.refuse(path)
        let source = try HDF5Source(path: path)
        let reader = ChunkReader(source)
        container = (source, reader)
        origin = nil
        fileByteCount = source.byteCount
        var tree = HDF5TreeReader(source)
        let content = try CheckpointContent(
            try tree.root(), source, reader, checkingDigests: checkingDigests, depth: depth, base: base)
        metadata = content.metadata
        digest = content.digest
        delta = content.delta
        chainLength = content.chainLength
        groups = content.tensors
        numbers = content.tensors.mapValues(Self.numbers)
        if checkingDigests { OpenedCheckpoints.remember(self, descriptor: source.descriptor) }
    }

    /// A model whose tensors are read from files of another format.
    ///
    /// - Parameters:
    ///   - path: the model's path, for errors.
    ///   - metadata: configuration, tokenizer and ties.
    ///   - source: the tensors under the names of the architecture.
    ///   - origin: the format.
    ///   - digests: the SHA-256 of each tensor by name; empty if they were not computed.
    package init(
        path: String, metadata: CheckpointMetadata, tensors source: any TensorSource, origin: ModelOrigin,
        digests: [String: String] = [:]
    ) {
        self.path = path
        self.metadata = metadata
        self.origin = origin
        container = nil
        delta = nil
        chainLength = 0
        let weights = source.tensors.map { tensor in
            StoredTensor(
                group: .weights, description: tensor, sha256: digests[tensor.name], storage: .external(source),
                chunks: [], quantization: source.quantization(of: tensor.name))
        }.sorted { $0.description.name.utf8.lexicographicallyPrecedes($1.description.name.utf8) }
        groups = [.weights: weights]
        numbers = [.weights: Self.numbers(weights)]
        fileByteCount = weights.reduce(0) { $0 + $1.storedByteCount }
        digest = digests.isEmpty ? "" : Self.digest(of: weights)
    }

    private static func numbers(_ tensors: [StoredTensor]) -> [String: Int] {
        Dictionary(tensors.enumerated().map { ($1.description.name, $0) }) { first, _ in first }
    }

    /// The bytes of the HDF5 file.
    ///
    /// - Throws: `CheckpointError.unsupported` for a model of another format.
    var source: HDF5Source { get throws { try opened.source } }
    /// Reads chunks of the HDF5 file; throws like `source`.
    var reader: ChunkReader { get throws { try opened.reader } }

    private var opened: (source: HDF5Source, reader: ChunkReader) {
        get throws {
            guard let container else {
                throw CheckpointError.unsupported(path: path, place: "/", problem: "is not an HDF5 file")
            }
            return container
        }
    }

    /// The tensors of a group, sorted by name.
    public func tensors(in group: TensorGroup = .weights) -> [StoredTensor] { groups[group] ?? [] }

    /// The stored tensor of that name, or nil; tied names have no tensor, see `CheckpointMetadata.tiedTensors`.
    public func tensor(_ name: String, in group: TensorGroup = .weights) -> StoredTensor? {
        guard let number = numbers[group]?[name] else { return nil }
        return groups[group]?[number]
    }

    /// A digest of the weights alone, which a training state shares with the model stripped from it.
    ///
    /// Empty for a model of another format, unless it was opened to be hashed.
    public var weightsDigest: String { origin == nil ? Self.digest(of: tensors()) : digest }

    private static func digest(of tensors: [StoredTensor]) -> String {
        var manifest = ManifestDigest()
        for tensor in tensors { manifest.add(tensor) }
        return manifest.value()
    }
}

/// Where a model of another format comes from.
public struct ModelOrigin: Sendable, Equatable {
    /// The formats of other programs.
    public enum Format: String, Sendable {
        case huggingFace = "hugging_face"
        case gguf
        /// A LoRA adapter of PEFT, merged into its base while it is read.
        case adapter = "peft"

        /// The format's name in texts.
        public var name: String {
            switch self {
            case .huggingFace: "Hugging Face"
            case .gguf: "GGUF"
            case .adapter: "PEFT adapter"
            }
        }
    }

    public var format: Format
    /// Remarks for the user, one line each.
    public var notes: [String]

    package init(_ format: Format, notes: [String]) {
        self.format = format
        self.notes = notes
    }
}

extension ManifestDigest {
    mutating func add(_ tensor: StoredTensor) {
        add(
            path: tensor.path, type: tensor.description.elementType.rawValue, shape: tensor.description.shape,
            sha256: tensor.sha256 ?? "")
    }
}
