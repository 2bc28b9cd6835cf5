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
    /// The tensor with a copy of what its file does not store replaced: by a copy from the base that its checkpoint
    /// takes it from, or by reading it from a file of another format.
    var withStoredContent: TensorToWrite {
        guard case .copy(let file, let tensor) = content else { return self }
        switch tensor.storage {
        case .computed(let computed) where computed.isOriginal:
            return TensorToWrite(
                group: group, description: description, content: .copy(computed.base, computed.original)
            ).withStoredContent
        case .external:
            return TensorToWrite(
                group: group, description: description,
                content: .bytes { range, bytes in try file.read(tensor, range: range, into: bytes) })
        case .contiguous, .chunked, .computed: return self
        }
    }

    /// Reads the bytes `range` of the tensor.
    func read(_ range: Range<Int>, into bytes: UnsafeMutableRawBufferPointer) throws {
        guard !range.isEmpty else { return }
        switch content {
        case .bytes(let fill): try fill(range, bytes)
        case .edited(let edit): try edit.fill(range, bytes)
        case .memory(let memory): bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory.bytes[range]))
        case .copy(let source, let stored): try source.read(stored, range: range, into: bytes)
        }
    }

    /// The SHA-256 of the bytes.
    private func sha256() throws -> String {
        if case .copy(_, let stored) = content, let known = stored.sha256 { return known }
        var hash = SHA256()
        if case .memory(let memory) = content {
            hash.update(memory.bytes)
        } else {
            let count = description.byteCount
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(count, 1 << 20), alignment: 64)
            defer { buffer.deallocate() }
            for start in stride(from: 0, to: count, by: 1 << 20) {
                let range = start..<min(count, start + 1 << 20)
                let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<range.count])
                try read(range, into: part)
                hash.update(UnsafeRawBufferPointer(part))
            }
        }
        return hash.finalize()
    }

    /// The SHA-256 of the bytes of each tensor, in the given order; on all cores.
    ///
    /// - Throws: the errors of the contents.
    package static func digests(of tensors: [TensorToWrite]) throws -> [String] {
        let found = Mutex([String](repeating: "", count: tensors.count))
        try ParallelWork.forEach(tensors.count) { index in
            let digest = try tensors[index].sha256()
            found.withLock { $0[index] = digest }
        }
        return found.withLock { $0 }
    }

    /// The SHA-256 of the bytes of each tensor, by name; throws like `digests(of:)`.
    package static func digestsByName(of tensors: [TensorToWrite]) throws -> [String: String] {
        Dictionary(
            zip(tensors.map(\.description.name), try digests(of: tensors)), uniquingKeysWith: { first, _ in first })
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
