/// An opened checkpoint. Opening reads and checks the whole structure, all metadata and the record digest; reading
/// checks every chunk. Immutable and thread-safe. The reader is ckpt's own, and strict; libhdf5 takes no part.
///
/// The file is read while the object lives; a checkpoint is never changed in place, so that is safe.
public final class CheckpointFile: Sendable {
    public let path: String
    public let metadata: CheckpointMetadata
    /// Names the state of all tensors; hexadecimal SHA-256.
    public let digest: String
    public let fileByteCount: Int
    let source: HDF5Source
    let reader: ChunkReader
    private let groups: [TensorGroup: [StoredTensor]]
    private let numbers: [TensorGroup: [String: Int]]

    /// Opens and checks a checkpoint.
    /// - Throws: `CheckpointError`: `.system`, `.damaged`, `.unsupported` or `.newerVersion`.
    public convenience init(path: String) throws { try self.init(path: path, checkingDigests: true) }

    /// - Parameter checkingDigests: false only where damage is meant to reach the code behind the digests: in fuzzing.
    package init(path: String, checkingDigests: Bool) throws {
        self.path = path
        source = try HDF5Source(path: path)
        reader = ChunkReader(source)
        fileByteCount = source.byteCount
        var tree = HDF5TreeReader(source)
        let content = try CheckpointContent(try tree.root(), source, reader, checkingDigests: checkingDigests)
        metadata = content.metadata
        digest = content.digest
        groups = content.tensors
        numbers = content.tensors.mapValues { tensors in
            Dictionary(tensors.enumerated().map { ($1.description.name, $0) }) { first, _ in first }
        }
    }

    /// The tensors of a group, in the order of their names.
    public func tensors(in group: TensorGroup = .weights) -> [StoredTensor] { groups[group] ?? [] }

    /// The tensor of that name, or nil; follows no ties.
    public func tensor(_ name: String, in group: TensorGroup = .weights) -> StoredTensor? {
        guard let number = numbers[group]?[name] else { return nil }
        return groups[group]?[number]
    }

    /// SHA-256 over the weights alone, as `digest` is over all tensors: equal for a training state and the model
    /// stripped from it.
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
