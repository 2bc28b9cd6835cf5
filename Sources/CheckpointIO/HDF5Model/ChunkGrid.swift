/// How a dataset is cut into chunks: the chunk shape, and which part of the dataset each chunk covers.
///
/// Chunks are numbered in row-major order of their positions.
struct ChunkGrid: Sendable, Equatable {
    let shape: [Int]
    let chunkShape: [Int]
    let elementSize: Int
    /// Chunks along each dimension.
    let counts: [Int]

    /// - Precondition: equal ranks, all chunk dimensions positive, counts known not to overflow.
    init(shape: [Int], chunkShape: [Int], elementSize: Int) {
        self.shape = shape
        self.chunkShape = chunkShape
        self.elementSize = elementSize
        counts = zip(shape, chunkShape).map { $0 / $1 + ($0 % $1 == 0 ? 0 : 1) }
    }

    /// Cuts so that a chunk is one range of bytes of about `target`: leading dimensions 1, one dimension cut, trailing
    /// ones whole. The cut is chosen so that the last chunk is nearly full.
    init(cutting shape: [Int], elementSize: Int, target: Int = CheckpointLayout.chunkTarget) {
        var chunkShape = shape
        // The outermost dimension whose rows still fit into a chunk.
        var cut = shape.count - 1
        var rowBytes = elementSize
        while cut > 0, rowBytes * shape[cut] <= target {
            rowBytes *= shape[cut]
            cut -= 1
        }
        for dimension in 0..<cut { chunkShape[dimension] = 1 }
        let rowsPerChunk = max(1, target / rowBytes)
        let pieces = (shape[cut] + rowsPerChunk - 1) / rowsPerChunk
        chunkShape[cut] = (shape[cut] + pieces - 1) / pieces
        self.init(shape: shape, chunkShape: chunkShape, elementSize: elementSize)
    }

    /// Chunks in all.
    var count: Int { counts.reduce(1, *) }

    /// Bytes of a chunk, padding included.
    var chunkByteCount: Int { chunkShape.reduce(elementSize, *) }

    /// The first element of a chunk, as HDF5 names a chunk.
    func offset(ofChunk number: Int) -> [Int] {
        var offset = [Int](repeating: 0, count: shape.count)
        var rest = number
        for dimension in stride(from: shape.count - 1, through: 0, by: -1) {
            offset[dimension] = rest % counts[dimension] * chunkShape[dimension]
            rest /= counts[dimension]
        }
        return offset
    }

    /// The number of the chunk that starts at `offset`, or nil where none does.
    func number(ofChunkAt offset: some RandomAccessCollection<Int>) -> Int? {
        var number = 0
        for (dimension, position) in offset.enumerated() {
            let (index, rest) = position.quotientAndRemainder(dividingBy: chunkShape[dimension])
            guard rest == 0, index >= 0, index < counts[dimension] else { return nil }
            number = number * counts[dimension] + index
        }
        return number
    }

    /// Whether every chunk is one range of bytes of the dataset, padding aside.
    var isContiguous: Bool {
        guard let cut = chunkShape.firstIndex(where: { $0 != 1 }) else { return true }
        return (cut + 1..<shape.count).allSatisfy { chunkShape[$0] == shape[$0] }
    }

    /// The bytes of the dataset that a chunk of a contiguous grid covers, without padding.
    func byteRange(ofChunk number: Int) -> Range<Int> {
        let offset = offset(ofChunk: number)
        var start = 0
        var rowBytes = elementSize
        var extent = elementSize
        for dimension in stride(from: shape.count - 1, through: 0, by: -1) {
            start += offset[dimension] * rowBytes
            rowBytes *= shape[dimension]
            extent *= min(chunkShape[dimension], shape[dimension] - offset[dimension])
        }
        return start..<start + extent
    }

    /// Copies the part of a decoded chunk that lies inside the dataset to its place in `destination`, the whole
    /// dataset. For any chunk shape.
    func scatter(
        chunk number: Int, from source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
    ) {
        let offset = offset(ofChunk: number)
        let extent = shape.indices.map { min(chunkShape[$0], shape[$0] - offset[$0]) }
        copy(dimension: 0, sourceStart: 0, destinationStart: 0, offset, extent, source, destination)
    }

    private func copy(
        dimension: Int, sourceStart: Int, destinationStart: Int, _ offset: [Int], _ extent: [Int],
        _ source: UnsafeRawBufferPointer, _ destination: UnsafeMutableRawBufferPointer
    ) {
        let sourceRow = chunkShape[(dimension + 1)...].reduce(elementSize, *)
        let destinationRow = shape[(dimension + 1)...].reduce(elementSize, *)
        let destinationStart = destinationStart + offset[dimension] * destinationRow
        let isWhole = sourceRow == destinationRow && chunkShape[(dimension + 1)...] == shape[(dimension + 1)...]
        if isWhole {
            let count = extent[dimension] * sourceRow
            destination.baseAddress?.advanced(by: destinationStart).copyMemory(
                from: source.baseAddress! + sourceStart, byteCount: count)
            return
        }
        for row in 0..<extent[dimension] {
            copy(
                dimension: dimension + 1, sourceStart: sourceStart + row * sourceRow,
                destinationStart: destinationStart + row * destinationRow, offset, extent, source, destination)
        }
    }
}
