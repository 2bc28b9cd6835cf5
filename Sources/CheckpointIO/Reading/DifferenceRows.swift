/// The differences of a delta's tensors whose elements have one size: `/delta/differencesN`, uint8
/// `[rows, bytes of an element, width]`.
///
/// A row has the byte planes of the codes of `BitDifferences`, of a piece of one tensor or of several small tensors.
struct DifferenceRows: Sendable {
    let path: String
    let elementSize: Int
    private let grid: ChunkGrid
    private let filters: [HDF5Filter]
    private let chunks: [StoredChunk]

    /// Takes the rows from a dataset; nil if it does not have their form.
    init?(_ dataset: HDF5Dataset, path: String) {
        guard
            let elementSize = DeltaRecord.elementSizes.first(where: {
                DeltaRecord.differencesPath(elementSize: $0) == path
            }), dataset.type == .element(.uint8), dataset.attributes.isEmpty,
            case .chunked(let grid, let filters, let chunks) = dataset.storage, grid.shape.count == 3,
            grid.shape[1] == elementSize, grid.chunkShape == [1] + grid.shape[1...],
            filters.map(\.identifier) == [CheckpointLayout.zstdFilter]
        else { return nil }
        self.path = path
        self.elementSize = elementSize
        self.grid = grid
        self.filters = filters
        self.chunks = chunks
    }

    /// Elements of a row.
    var width: Int { grid.shape[2] }
    var count: Int { chunks.count }
    /// Bytes of the file that the rows take.
    var storedByteCount: Int { chunks.reduce(0) { $0 + $1.byteCount } }

    /// Calls `body` with the planes of a row, each `width` bytes long.
    fileprivate func withPlanes<Result>(
        of row: Int, in file: CheckpointFile, _ body: (UnsafePointer<UInt8>) throws -> Result
    ) throws -> Result {
        let chunk = chunks[row]
        return try file.reader.withWorkspace { workspace in
            do {
                let stored = workspace.stored.resized(to: chunk.byteCount)
                try file.source.read(at: chunk.address, into: stored)
                let planes = workspace.chunk.resized(to: grid.chunkByteCount)
                let hasChecksum = try workspace.decode(
                    UnsafeRawBufferPointer(stored), filters, chunk.filterMask, elementSize: 1, into: planes)
                guard hasChecksum, let start = planes.assumingMemoryBound(to: UInt8.self).baseAddress else {
                    throw ZstdProblem("the zstd frame has no checksum")
                }
                return try body(start)
            } catch let problem as ZstdProblem {
                throw CheckpointError.damaged(
                    path: file.path, place: "\(path), row \(row) at byte \(chunk.address)",
                    problem: problem.description)
            } catch let problem as HDF5Problem {
                throw problem.located(path: file.path, place: "\(path), row \(row)")
            }
        }
    }
}

/// Where the differences of a tensor are.
struct DifferencePlace: Sendable {
    private let rows: DifferenceRows
    private let first: Int
    private let column: Int
    private let rowElements: Int

    /// The place of a tensor of `elementCount` elements; nil if the rows do not have it.
    init?(_ record: DeltaRecord.Tensor, elementCount: Int, in rows: DifferenceRows) {
        guard elementCount > 0, record.rowElements > 0, record.column <= rows.width,
            record.rowElements <= rows.width - record.column,
            record.row + (elementCount - 1) / record.rowElements < rows.count
        else { return nil }
        self.rows = rows
        first = record.row
        column = record.column
        rowElements = record.rowElements
    }

    /// Adds the differences to elements `range` of the tensor, whose bytes are those of the base.
    func apply(to bytes: UnsafeMutableRawBufferPointer, elements range: Range<Int>, of file: CheckpointFile) throws {
        let size = rows.elementSize
        var start = range.lowerBound
        while start < range.upperBound {
            let (row, offset) = start.quotientAndRemainder(dividingBy: rowElements)
            let count = min(rowElements - offset, range.upperBound - start)
            let place = (start - range.lowerBound) * size
            let target = UnsafeMutableRawBufferPointer(rebasing: bytes[place..<place + count * size])
            try rows.withPlanes(of: first + row, in: file) { planes in
                withUnsafeTemporaryAllocation(byteCount: Self.blockElements * size, alignment: 64) { codes in
                    for block in stride(from: 0, to: count, by: Self.blockElements) {
                        let part = min(Self.blockElements, count - block)
                        // Neither buffer is empty.
                        // swift-format-ignore: NeverForceUnwrap
                        BitDifferences.join(
                            planes + (column + offset + block), stride: rows.width, count: part, elementSize: size,
                            into: codes.baseAddress!)
                        BitDifferences.apply(
                            UnsafeRawBufferPointer(rebasing: codes[..<(part * size)]),
                            to: UnsafeMutableRawBufferPointer(rebasing: target[block * size..<(block + part) * size]),
                            elementSize: size)
                    }
                }
            }
            start += count
        }
    }

    /// Elements that are computed at a time, whose codes stay in the processor's cache.
    private static let blockElements = 2048
}
