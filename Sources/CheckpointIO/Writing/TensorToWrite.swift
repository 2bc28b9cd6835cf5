import Parallel
import Synchronization

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

extension TensorToWrite {
    /// The tensor with a copy of what its file does not store replaced by reading it.
    var withStoredContent: TensorToWrite {
        guard case .copy(let file, let tensor) = content, tensor.externalRanges != nil else { return self }
        return TensorToWrite(
            group: group, description: description,
            content: .bytes { range, bytes in try file.read(tensor, range: range, into: bytes) })
    }

    /// The SHA-256 of the bytes of each tensor that is computed, by name; on all cores.
    ///
    /// - Throws: the errors of the contents.
    package static func digests(of tensors: [TensorToWrite]) throws -> [String: String] {
        let found = Mutex<[String: String]>([:])
        try ParallelWork.forEach(tensors.count) { index in
            guard case .bytes(let fill) = tensors[index].content else { return }
            let count = tensors[index].description.byteCount
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(count, 1 << 20), alignment: 64)
            defer { buffer.deallocate() }
            var hash = SHA256()
            for start in stride(from: 0, to: count, by: 1 << 20) {
                let range = start..<min(count, start + 1 << 20)
                let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<range.count])
                try fill(range, part)
                hash.update(UnsafeRawBufferPointer(part))
            }
            let digest = hash.finalize()
            found.withLock { $0[tensors[index].description.name] = digest }
        }
        return found.withLock { $0 }
    }
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
