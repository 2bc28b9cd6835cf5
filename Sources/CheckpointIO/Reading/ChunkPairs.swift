import Glibc

/// Two stored tensors of the same type and chunk shape, compared chunk by chunk.
///
/// Chunks with equal stored bytes are not decoded. If one tensor has more rows, only the chunks of the common rows are
/// compared. Several threads may read at once.
package struct ChunkPairs: Sendable {
    /// The content of a chunk in both tensors.
    package enum Content {
        /// The stored bytes are equal, and therefore the elements.
        case alike
        /// The little-endian bytes of both chunks without padding; valid during the call only.
        case different(a: UnsafeRawBufferPointer, b: UnsafeRawBufferPointer)
        /// The same for elements of two bytes, as separate low and high bytes.
        case differentPlanes(a: BytePlanes, b: BytePlanes)
    }

    private let a: (file: CheckpointFile, tensor: StoredTensor)
    private let b: (file: CheckpointFile, tensor: StoredTensor)
    /// The grid of the tensor with fewer rows; chunks are numbered in row-major order, so numbers agree in both.
    private let grid: ChunkGrid
    private let filters: [HDF5Filter]

    /// Pairs two tensors; nil if chunk shapes, types or filters differ, or chunks are not contiguous ranges.
    package init?(
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

    package var count: Int { grid.count }

    /// The range of elements in a chunk.
    package func elements(ofChunk number: Int) -> Range<Int> {
        let bytes = grid.byteRange(ofChunk: number)
        return bytes.lowerBound / grid.elementSize..<bytes.upperBound / grid.elementSize
    }

    /// Reads a chunk of both tensors and passes it to `body`.
    ///
    /// - Throws: `CheckpointError.damaged` with file and chunk, or an error of `body`.
    package func withChunk<Result>(_ number: Int, _ body: (Content) throws -> Result) throws -> Result {
        try a.file.reader.withWorkspace { left in
            try b.file.reader.withWorkspace { right in
                let storedA = try read(number, a, left)
                let storedB = try read(number, b, right)
                let maskA = a.tensor.chunks[number].filterMask
                let maskB = b.tensor.chunks[number].filterMask
                if maskA == maskB, storedA.count == storedB.count, let left = storedA.baseAddress,
                    let right = storedB.baseAddress, memcmp(left, right, storedA.count) == 0
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
                UnsafeRawBufferPointer(stored), filters, side.tensor.chunks[number].filterMask,
                elementSize: grid.elementSize, into: target)
            return UnsafeRawBufferPointer(target)
        }
    }

    /// The byte planes of a chunk; nil if it is not stored as planes.
    private func planes(
        _ number: Int, _ side: (file: CheckpointFile, tensor: StoredTensor), _ stored: UnsafeRawBufferPointer,
        _ workspace: DecodingWorkspace, _ elements: Int
    ) throws -> BytePlanes? {
        try side.file.namingChunk(number, of: side.tensor) {
            let bytes = try workspace.decodePlanes(
                stored, filters, side.tensor.chunks[number].filterMask, elementSize: grid.elementSize,
                byteCount: grid.chunkByteCount)
            guard let low = bytes?.assumingMemoryBound(to: UInt8.self).baseAddress else { return nil }
            return BytePlanes(low: low, high: low + grid.chunkByteCount / 2, count: elements)
        }
    }
}
