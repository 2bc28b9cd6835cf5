import Glibc

/// Two stored tensors of one type, cut into the same chunks: gone through chunk by chunk, and without decoding where both
/// files hold the same bytes. Where one has more rows, the chunks of the rows that both have. Several threads may read at
/// once.
public struct ChunkPairs: Sendable {
    /// The elements of a chunk that both tensors have.
    public enum Content {
        /// The stored bytes are equal, so the elements are.
        case alike
        /// Logical little-endian bytes of both, without padding. Valid inside the call only.
        case different(a: UnsafeRawBufferPointer, b: UnsafeRawBufferPointer)
        /// The same for elements of two bytes, as the file keeps them: all low bytes, then all high bytes.
        case differentPlanes(a: BytePlanes, b: BytePlanes)
    }

    /// Elements of two bytes each, low bytes and high bytes apart.
    public struct BytePlanes {
        public let low: UnsafePointer<UInt8>
        public let high: UnsafePointer<UInt8>
        public let count: Int
    }

    private let a: (file: CheckpointFile, tensor: StoredTensor)
    private let b: (file: CheckpointFile, tensor: StoredTensor)
    /// Of the tensor with fewer rows. Chunks are numbered in row-major order, so a number means the same rows in both.
    private let grid: ChunkGrid
    private let filters: [HDF5Filter]

    /// - Returns: nil where the two are not cut and filtered alike, or where a chunk is no range of bytes.
    public init?(
        _ a: (file: CheckpointFile, tensor: StoredTensor), _ b: (file: CheckpointFile, tensor: StoredTensor)
    ) {
        guard a.tensor.description.elementType == b.tensor.description.elementType,
            case .chunked(let grid, let filters) = a.tensor.storage,
            case .chunked(let other, let otherFilters) = b.tensor.storage, grid.chunkShape == other.chunkShape,
            grid.shape.dropFirst() == other.shape.dropFirst(), grid.isContiguous,
            filters.map(\.identifier) == otherFilters.map(\.identifier)
        else { return nil }
        self.a = a
        self.b = b
        self.grid = grid.count <= other.count ? grid : other
        self.filters = filters
    }

    public var count: Int { grid.count }

    /// The elements that a chunk holds.
    public func elements(ofChunk number: Int) -> Range<Int> {
        let bytes = grid.byteRange(ofChunk: number)
        return bytes.lowerBound / grid.elementSize..<bytes.upperBound / grid.elementSize
    }

    /// Reads a chunk of both.
    /// - Throws: `CheckpointError.damaged` that names file and chunk, and what `body` throws.
    public func withChunk<Result>(_ number: Int, _ body: (Content) throws -> Result) throws -> Result {
        try a.file.reader.withWorkspace { left in
            try b.file.reader.withWorkspace { right in
                let storedA = try read(number, a, left)
                let storedB = try read(number, b, right)
                let maskA = a.tensor.chunks[number].filterMask
                let maskB = b.tensor.chunks[number].filterMask
                if maskA == maskB, storedA.count == storedB.count,
                    memcmp(storedA.baseAddress!, storedB.baseAddress!, storedA.count) == 0
                {
                    return try body(.alike)
                }
                let elements = grid.byteRange(ofChunk: number).count / grid.elementSize
                if grid.elementSize == 2,
                    let planesA = try planes(number, a, UnsafeRawBufferPointer(storedA), left, elements),
                    let planesB = try planes(number, b, UnsafeRawBufferPointer(storedB), right, elements)
                {
                    return try body(.differentPlanes(a: planesA, b: planesB))
                }
                let byteCount = elements * grid.elementSize
                let bytesA = try decode(number, a, storedA, left)
                let bytesB = try decode(number, b, storedB, right)
                return try body(
                    .different(
                        a: UnsafeRawBufferPointer(rebasing: bytesA[..<byteCount]),
                        b: UnsafeRawBufferPointer(rebasing: bytesB[..<byteCount])))
            }
        }
    }

    private func read(
        _ number: Int, _ side: (file: CheckpointFile, tensor: StoredTensor), _ workspace: DecodingWorkspace
    ) throws -> UnsafeMutableRawBufferPointer {
        let chunk = side.tensor.chunks[number]
        let stored = workspace.stored.resized(to: chunk.byteCount)
        try side.file.readStored(chunk, of: side.tensor, into: stored)
        return stored
    }

    private func decode(
        _ number: Int, _ side: (file: CheckpointFile, tensor: StoredTensor), _ stored: UnsafeMutableRawBufferPointer,
        _ workspace: DecodingWorkspace
    ) throws -> UnsafeRawBufferPointer {
        try side.file.namingChunk(number, of: side.tensor) {
            let target = workspace.chunk.resized(to: grid.chunkByteCount)
            _ = try workspace.decode(
                stored, filters, side.tensor.chunks[number].filterMask, elementSize: grid.elementSize, into: target)
            return UnsafeRawBufferPointer(target)
        }
    }

    /// - Returns: nil where the chunk is not stored as planes.
    private func planes(
        _ number: Int, _ side: (file: CheckpointFile, tensor: StoredTensor), _ stored: UnsafeRawBufferPointer,
        _ workspace: DecodingWorkspace, _ elements: Int
    ) throws -> BytePlanes? {
        try side.file.namingChunk(number, of: side.tensor) {
            let bytes = try workspace.decodePlanes(
                stored, filters, side.tensor.chunks[number].filterMask, byteCount: grid.chunkByteCount)
            guard let low = bytes?.assumingMemoryBound(to: UInt8.self).baseAddress else { return nil }
            return BytePlanes(low: low, high: low + grid.chunkByteCount / 2, count: elements)
        }
    }
}
