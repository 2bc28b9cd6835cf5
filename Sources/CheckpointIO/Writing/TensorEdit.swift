/// A stored tensor with some rows changed or appended.
public struct TensorEdit: Sendable {
    let source: CheckpointFile
    let stored: StoredTensor
    private let changed: [Range<Int>]
    let fill: @Sendable (_ range: Range<Int>, _ into: UnsafeMutableRawBufferPointer) throws -> Void

    /// Creates an edit of `stored`, a tensor of `source`.
    ///
    /// `changed` are the byte ranges that may differ from `stored`; bytes after its end need not be listed. `fill`
    /// provides any range of the new bytes, as for `TensorContent.bytes`.
    package init(
        of stored: StoredTensor, in source: CheckpointFile, changed: [Range<Int>],
        fill: @escaping @Sendable (_ range: Range<Int>, _ into: UnsafeMutableRawBufferPointer) throws -> Void
    ) {
        self.source = source
        self.stored = stored
        self.changed = changed
        self.fill = fill
    }

    /// The grid with which unchanged chunks can be kept; nil if filters or rows of `stored` and the result differ.
    func grid(for description: TensorDescription) -> ChunkGrid? {
        guard case .chunked(let grid, let filters) = stored.storage, grid.isContiguous,
            description.elementType == stored.description.elementType,
            description.shape.dropFirst() == stored.description.shape.dropFirst(),
            let rows = description.shape.first, let oldRows = stored.description.shape.first, rows >= oldRows,
            filters.map(\.identifier)
                == HDF5Filter.shuffleAndZstd(elementSize: grid.elementSize, level: 0).map(\.identifier)
        else { return nil }
        return ChunkGrid(shape: description.shape, chunkShape: grid.chunkShape, elementSize: grid.elementSize)
    }

    /// The stored chunk for the bytes `range`; nil if they change.
    func keptChunk(_ number: Int, covering range: Range<Int>) -> StoredChunk? {
        guard range.upperBound <= stored.description.byteCount, !changed.contains(where: { $0.overlaps(range) }) else {
            return nil
        }
        return stored.chunks[number]
    }
}
