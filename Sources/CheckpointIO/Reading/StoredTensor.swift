/// A tensor of an opened model, to be read by the `CheckpointFile` that lists it.
public struct StoredTensor: Sendable {
    public var group: TensorGroup
    /// Name, element type and shape.
    public var description: TensorDescription
    /// The SHA-256 of the uncompressed little-endian bytes, in hexadecimal.
    ///
    /// nil in a model of another format, unless it was opened to be hashed.
    public var sha256: String?
    let storage: TensorStorage
    let chunks: [StoredChunk]
    /// The quantised form in the file of another format.
    public var quantization: TensorQuantization?

    /// Bytes that the tensor takes in the file; 0 if it is computed from the base model.
    public var storedByteCount: Int {
        switch storage {
        case .contiguous: description.byteCount
        case .chunked: chunks.reduce(0) { $0 + $1.byteCount }
        case .computed: 0
        case .external: quantization?.storedByteCount ?? description.byteCount
        }
    }

    /// Ranges of bytes that are read fast, of a tensor that a `CheckpointFile` does not read from its HDF5 file.
    var externalRanges: [Range<Int>]? {
        switch storage {
        case .contiguous, .chunked: nil
        case .computed(let computed): computed.ranges(of: description.byteCount)
        case .external: Self.ranges(of: description.byteCount)
        }
    }

    /// Ranges of a megabyte, which hold whole elements and whole blocks of quantised ones.
    static func ranges(of byteCount: Int) -> [Range<Int>] {
        stride(from: 0, to: byteCount, by: 1 << 20).map { $0..<min($0 + 1 << 20, byteCount) }
    }

    /// The number of chunks, 0 for a tensor that has none.
    package var chunkCount: Int { chunks.count }

    /// The shape of a chunk; nil for a tensor without chunks.
    package var chunkShape: [Int]? {
        if case .chunked(let grid, _) = storage { grid.chunkShape } else { nil }
    }

    /// The bytes of the file that contain a chunk; nil if there is no such chunk.
    package func chunkRange(_ number: Int) -> Range<Int>? {
        guard chunks.indices.contains(number) else { return nil }
        let start = Int(chunks[number].address)
        return start..<start + chunks[number].byteCount
    }

    /// All bytes of the file that contain the tensor.
    package var storedRanges: [Range<Int>] {
        if case .contiguous(let address) = storage {
            return address.map { [Int($0)..<Int($0) + description.byteCount] } ?? []
        }
        return chunks.indices.compactMap(chunkRange)
    }

    /// The HDF5 path of the dataset.
    public var path: String { "\(group.path)/\(CheckpointLayout.relativePath(ofTensor: description.name))" }
}

/// How a tensor is stored in the file.
enum TensorStorage: Sendable {
    /// One range of bytes; the address is nil if the tensor is empty.
    case contiguous(UInt64?)
    case chunked(ChunkGrid, [HDF5Filter])
    /// Not in this file.
    case computed(ComputedTensor)
    /// In files of another format.
    case external(any TensorSource)
}
