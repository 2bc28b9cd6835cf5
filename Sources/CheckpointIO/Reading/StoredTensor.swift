import OrderedJSON

/// A tensor of an opened checkpoint: what it is, and where its bytes are.
public struct StoredTensor: Sendable {
    public var group: TensorGroup
    public var description: TensorDescription
    /// SHA-256 of the logical little-endian bytes, in hexadecimal.
    public var sha256: String
    let storage: TensorStorage
    let chunks: [StoredChunk]

    /// Bytes the tensor takes in the file.
    public var storedByteCount: Int {
        switch storage {
        case .contiguous: description.byteCount
        case .chunked: chunks.reduce(0) { $0 + $1.byteCount }
        }
    }

    /// Chunks, 0 for a tensor stored as it is.
    public var chunkCount: Int { chunks.count }

    /// The shape of a chunk; nil for a tensor stored as it is.
    public var chunkShape: [Int]? {
        if case .chunked(let grid, _) = storage { grid.chunkShape } else { nil }
    }

    /// The bytes of the file that hold a chunk; nil where there is no such chunk.
    public func chunkRange(_ number: Int) -> Range<Int>? {
        guard chunks.indices.contains(number) else { return nil }
        let start = Int(chunks[number].address)
        return start..<start + chunks[number].byteCount
    }

    /// All bytes of the file that hold the tensor.
    public var storedRanges: [Range<Int>] {
        if case .contiguous(let address) = storage {
            return address.map { [Int($0)..<Int($0) + description.byteCount] } ?? []
        }
        return chunks.indices.compactMap(chunkRange)
    }

    /// The path of the dataset.
    public var path: String { "\(group.path)/\(CheckpointLayout.relativePath(ofTensor: description.name))" }
}

/// How a tensor lies in the file.
enum TensorStorage: Sendable {
    /// One range, nil where there is no element.
    case contiguous(UInt64?)
    case chunked(ChunkGrid, [HDF5Filter])
}

/// A part of a checkpoint whose bytes are not what was written.
public struct Damage: Sendable, Equatable, CustomStringConvertible {
    /// The dataset, or what else is damaged.
    public var place: String
    /// The tensor's name, where it is one.
    public var tensor: String?
    /// The number of the chunk, counted in row-major order.
    public var chunk: Int?
    /// Where in the file the damaged chunk or range starts.
    public var fileOffset: Int?
    public var problem: String

    public init(
        place: String, tensor: String? = nil, chunk: Int? = nil, fileOffset: Int? = nil, problem: String
    ) {
        self.place = place
        self.tensor = tensor
        self.chunk = chunk
        self.fileOffset = fileOffset
        self.problem = problem
    }

    public var description: String {
        var text = place.onOneLine()
        if let chunk { text += ", chunk \(chunk)" }
        if let fileOffset { text += " at byte \(fileOffset)" }
        return "\(text): \(problem.onOneLine())"
    }
}
