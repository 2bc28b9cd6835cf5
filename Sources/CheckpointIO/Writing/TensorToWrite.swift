/// A tensor for `CheckpointWriter`.
public struct TensorToWrite: Sendable {
    public var group: TensorGroup
    public var description: TensorDescription
    public var content: TensorContent

    public init(group: TensorGroup = .weights, description: TensorDescription, content: TensorContent) {
        self.group = group
        self.description = description
        self.content = content
    }

    /// The path of the dataset.
    var path: String { "\(group.path)/\(CheckpointLayout.relativePath(ofTensor: description.name))" }
}

/// The source of a tensor's bytes.
public enum TensorContent: Sendable {
    /// A closure that provides ranges of the tensor's little-endian bytes.
    ///
    /// It is called from several threads, with ascending ranges of each tensor.
    case bytes(@Sendable (_ range: Range<Int>, _ into: UnsafeMutableRawBufferPointer) throws -> Void)
    /// Bytes in memory, which are not copied.
    case memory(TensorMemory)
    /// A tensor of another checkpoint, whose stored chunks and SHA-256 are copied without decompression.
    case copy(CheckpointFile, StoredTensor)
    /// A tensor of another checkpoint with changes; unchanged chunks are hashed but keep their stored form.
    case edited(TensorEdit)
}

/// The little-endian bytes of a tensor in memory that `owner` keeps alive; they must not change while being written.
public struct TensorMemory: @unchecked Sendable {
    // Sendable because the bytes do not change.
    let bytes: UnsafeRawBufferPointer
    private let owner: AnyObject

    public init(_ bytes: UnsafeRawBufferPointer, owner: AnyObject) {
        self.bytes = bytes
        self.owner = owner
    }
}
