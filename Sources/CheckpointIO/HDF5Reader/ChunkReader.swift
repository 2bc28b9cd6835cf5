import Synchronization

/// Reads the data of datasets: contiguous ranges, and chunks through zstd and unshuffling. Thread-safe.
final class ChunkReader: Sendable {
    private let source: HDF5Source
    private let workspaces = Mutex<[DecodingWorkspace]>([])

    init(_ source: HDF5Source) { self.source = source }

    /// Reads stored bytes as they are.
    func readRaw(at address: UInt64, into destination: UnsafeMutableRawBufferPointer) throws {
        try source.read(at: address, into: destination)
    }

    /// Decodes a chunk and puts the part that lies inside the dataset into `destination`.
    ///
    /// - Parameter isWhole: `destination` is the whole dataset, not only the bytes of this chunk.
    /// - Returns: whether the chunk carried a checksum, which then was right.
    func decode(
        _ number: Int, _ grid: ChunkGrid, _ filters: [HDF5Filter], _ chunk: StoredChunk,
        into destination: UnsafeMutableRawBufferPointer, isWhole: Bool
    ) throws -> Bool {
        try withWorkspace { workspace in
            try decode(number, grid, filters, chunk, workspace, into: destination, isWhole: isWhole)
        }
    }

    /// Lends the buffers of one thread.
    func withWorkspace<Result>(_ body: (DecodingWorkspace) throws -> Result) rethrows -> Result {
        let workspace = workspaces.withLock { $0.popLast() } ?? DecodingWorkspace()
        defer { workspaces.withLock { $0.append(workspace) } }
        return try body(workspace)
    }

    private func decode(
        _ number: Int, _ grid: ChunkGrid, _ filters: [HDF5Filter], _ chunk: StoredChunk, _ workspace: DecodingWorkspace,
        into destination: UnsafeMutableRawBufferPointer, isWhole: Bool
    ) throws -> Bool {
        let stored = workspace.stored.resized(to: chunk.byteCount)
        try source.read(at: chunk.address, into: stored)
        let chunkBytes = grid.chunkByteCount

        // Where the decoded bytes go: straight to their place, unless padding or other rows lie between.
        var target: UnsafeMutableRawBufferPointer?
        if grid.isContiguous {
            let range = grid.byteRange(ofChunk: number)
            if range.count == chunkBytes {
                target = isWhole ? UnsafeMutableRawBufferPointer(rebasing: destination[range]) : destination
            }
        }
        let decoded = target ?? workspace.chunk.resized(to: chunkBytes)
        let hasChecksum = try workspace.decode(
            stored, filters, chunk.filterMask, elementSize: grid.elementSize, into: decoded)
        if target == nil {
            if isWhole {
                grid.scatter(chunk: number, from: UnsafeRawBufferPointer(decoded), into: destination)
            } else {
                destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: decoded[..<destination.count]))
            }
        }
        return hasChecksum
    }
}

/// The buffers and the decompressor of one thread, kept from chunk to chunk.
final class DecodingWorkspace: @unchecked Sendable {
    // Sendable because a workspace is lent to one thread at a time.
    let stored = ScratchBuffer()
    let chunk = ScratchBuffer()
    private let planes = ScratchBuffer()
    private var decompressor: ZstdDecompressor?

    /// Undoes the filters that were applied; `destination` is one chunk.
    /// - Parameter stored: is written to meanwhile, and the same afterwards.
    func decode(
        _ stored: UnsafeMutableRawBufferPointer, _ filters: [HDF5Filter], _ mask: UInt32, elementSize: Int,
        into destination: UnsafeMutableRawBufferPointer
    ) throws -> Bool {
        let applied = filters.indices.filter { mask >> $0 & 1 == 0 }.map { filters[$0].identifier }
        let isShuffled = applied.contains(CheckpointLayout.shuffleFilter) && elementSize > 1
        var bytes = UnsafeRawBufferPointer(stored)
        var hasChecksum = false
        if applied.contains(CheckpointLayout.zstdFilter) {
            let decompressor = try frameDecompressor()
            if isShuffled,
                EntropyFrameDecoder.decode(
                    stored, elementSize: elementSize, lastPlane: planes, decompressor, into: destination)
            {
                return true
            }
            let target = isShuffled ? planes.resized(to: destination.count) : destination
            hasChecksum = try decompressor.decompress(bytes, into: target)
            guard isShuffled else { return hasChecksum }
            bytes = UnsafeRawBufferPointer(target)
        }
        guard bytes.count == destination.count else {
            throw ZstdProblem("\(bytes.count) bytes are stored where the chunk has \(destination.count)")
        }
        if isShuffled {
            ByteShuffle.unshuffle(bytes, elementSize: elementSize, into: destination)
        } else {
            destination.copyMemory(from: bytes)
        }
        return hasChecksum
    }

    /// Undoes the compression and leaves the bytes in their planes.
    /// - Returns: nil where the chunk is not stored as compressed planes.
    func decodePlanes(
        _ stored: UnsafeRawBufferPointer, _ filters: [HDF5Filter], _ mask: UInt32, byteCount: Int
    ) throws -> UnsafeRawBufferPointer? {
        let applied = filters.indices.filter { mask >> $0 & 1 == 0 }.map { filters[$0].identifier }
        guard applied == [CheckpointLayout.shuffleFilter, CheckpointLayout.zstdFilter] else { return nil }
        let target = planes.resized(to: byteCount)
        _ = try frameDecompressor().decompress(stored, into: target)
        return UnsafeRawBufferPointer(target)
    }

    private func frameDecompressor() throws -> ZstdDecompressor {
        if let decompressor { return decompressor }
        let made = try ZstdDecompressor()
        decompressor = made
        return made
    }
}
