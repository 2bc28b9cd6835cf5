/// An opened checkpoint: its metadata, and its tensors to be read whole or in part.
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
    public let digest: String
    /// What the file says about itself if it is a delta; all else is that of the state it stands for.
    public let delta: DeltaRecord?
    /// Files that have to be read before this one, if it is a delta or keeps only an adapter.
    package let chainLength: Int
    /// The size of the file.
    public let fileByteCount: Int
    let source: HDF5Source
    let reader: ChunkReader
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
        source = try HDF5Source(path: path)
        reader = ChunkReader(source)
        fileByteCount = source.byteCount
        var tree = HDF5TreeReader(source)
        let content = try CheckpointContent(
            try tree.root(), source, reader, checkingDigests: checkingDigests, depth: depth, base: base)
        metadata = content.metadata
        digest = content.digest
        delta = content.delta
        chainLength = content.chainLength
        groups = content.tensors
        numbers = content.tensors.mapValues { tensors in
            Dictionary(tensors.enumerated().map { ($1.description.name, $0) }) { first, _ in first }
        }
        if checkingDigests { OpenedCheckpoints.remember(self) }
    }

    /// The tensors of a group, sorted by name.
    public func tensors(in group: TensorGroup = .weights) -> [StoredTensor] { groups[group] ?? [] }

    /// The stored tensor of that name, or nil; tied names have no tensor, see `CheckpointMetadata.tiedTensors`.
    public func tensor(_ name: String, in group: TensorGroup = .weights) -> StoredTensor? {
        guard let number = numbers[group]?[name] else { return nil }
        return groups[group]?[number]
    }

    /// A digest of the weights alone, which a training state shares with the model stripped from it.
    public var weightsDigest: String {
        var manifest = ManifestDigest()
        for tensor in tensors() { manifest.add(tensor) }
        return manifest.value()
    }
}

extension ManifestDigest {
    mutating func add(_ tensor: StoredTensor) {
        add(
            path: tensor.path, type: tensor.description.elementType.rawValue, shape: tensor.description.shape,
            sha256: tensor.sha256)
    }
}
