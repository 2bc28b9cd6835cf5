/// The division of a dataset into chunks, which are numbered in row-major order of their positions.
struct ChunkGrid: Sendable, Equatable {
    let shape: [Int]
    let chunkShape: [Int]
    let elementSize: Int
    /// Number of chunks along each dimension.
    let counts: [Int]

    /// Creates a grid with a given chunk shape.
    ///
    /// - Precondition: equal ranks, positive chunk dimensions, and a number of chunks that does not overflow.
    init(shape: [Int], chunkShape: [Int], elementSize: Int) {
        self.shape = shape
        self.chunkShape = chunkShape
        self.elementSize = elementSize
        counts = zip(shape, chunkShape).map { $0 / $1 + ($0 % $1 == 0 ? 0 : 1) }
    }

    /// Chooses chunks that are contiguous ranges of about `target` bytes.
    ///
    /// A chunk has extent 1 in the leading dimensions, part of one dimension, and all of the trailing ones. Its size is
    /// chosen so that the last chunk is nearly full.
    init(cutting shape: [Int], elementSize: Int, target: Int = CheckpointLayout.chunkTarget) {
        var chunkShape = shape
        // The outermost dimension whose rows fit into a chunk.
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

    /// Number of chunks.
    var count: Int { counts.reduce(1, *) }

    /// Bytes of a chunk, including padding.
    var chunkByteCount: Int { chunkShape.reduce(elementSize, *) }

    /// The position of a chunk's first element, by which HDF5 identifies the chunk.
    func offset(ofChunk number: Int) -> [Int] {
        var offset = [Int](repeating: 0, count: shape.count)
        var rest = number
        for dimension in stride(from: shape.count - 1, through: 0, by: -1) {
            offset[dimension] = rest % counts[dimension] * chunkShape[dimension]
            rest /= counts[dimension]
        }
        return offset
    }

    /// The number of the chunk that starts at `offset`, or nil if no chunk starts there.
    func number(ofChunkAt offset: some RandomAccessCollection<Int>) -> Int? {
        var number = 0
        for (dimension, position) in offset.enumerated() {
            let (index, rest) = position.quotientAndRemainder(dividingBy: chunkShape[dimension])
            guard rest == 0, index >= 0, index < counts[dimension] else { return nil }
            number = number * counts[dimension] + index
        }
        return number
    }

    /// Whether every chunk, apart from its padding, is one range of the dataset's bytes.
    var isContiguous: Bool {
        guard let cut = chunkShape.firstIndex(where: { $0 != 1 }) else { return true }
        return (cut + 1..<shape.count).allSatisfy { chunkShape[$0] == shape[$0] }
    }

    /// The range of the dataset's bytes that a chunk covers, without padding; only for contiguous grids.
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

    /// Copies the part of a decoded chunk that is inside the dataset to its place in `destination`, the whole dataset.
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
            UnsafeMutableRawBufferPointer(rebasing: destination[destinationStart..<destinationStart + count])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[sourceStart..<sourceStart + count]))
            return
        }
        for row in 0..<extent[dimension] {
            copy(
                dimension: dimension + 1, sourceStart: sourceStart + row * sourceRow,
                destinationStart: destinationStart + row * destinationRow, offset, extent, source, destination)
        }
    }
}
