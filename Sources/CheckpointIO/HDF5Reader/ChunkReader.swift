import Synchronization

/// Reads the data of datasets, contiguous or in compressed chunks; thread-safe.
final class ChunkReader: Sendable {
    private let source: HDF5Source
    private let workspaces = Mutex<[DecodingWorkspace]>([])

    init(_ source: HDF5Source) { self.source = source }

    /// Reads stored bytes without decoding them.
    func readRaw(at address: UInt64, into destination: UnsafeMutableRawBufferPointer) throws {
        try source.read(at: address, into: destination)
    }

    /// Decodes a chunk and copies the part that lies inside the dataset to `destination`.
    ///
    /// `isWhole` says that `destination` is the whole dataset rather than the bytes of this chunk. The result says
    /// whether the chunk has a checksum; a wrong checksum throws.
    func decode(
        _ number: Int, _ grid: ChunkGrid, _ filters: [HDF5Filter], _ chunk: StoredChunk,
        into destination: UnsafeMutableRawBufferPointer, isWhole: Bool
    ) throws -> Bool {
        try withWorkspace { workspace in
            try decode(number, grid, filters, chunk, workspace, into: destination, isWhole: isWhole)
        }
    }

    /// Calls `body` with a workspace that no other thread uses meanwhile.
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

        // Decodes directly into the destination unless the chunk has padding or does not map to one range.
        var target: UnsafeMutableRawBufferPointer?
        if grid.isContiguous {
            let range = grid.byteRange(ofChunk: number)
            if range.count == chunkBytes {
                target = isWhole ? UnsafeMutableRawBufferPointer(rebasing: destination[range]) : destination
            }
        }
        let decoded = target ?? workspace.chunk.resized(to: chunkBytes)
        let hasChecksum = try workspace.decode(
            UnsafeRawBufferPointer(stored), filters, chunk.filterMask, elementSize: grid.elementSize, into: decoded)
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

/// Buffers and a decompressor for one thread, reused from chunk to chunk.
final class DecodingWorkspace: @unchecked Sendable {
    // Sendable because only one thread at a time uses a workspace.
    let stored = ScratchBuffer()
    let chunk = ScratchBuffer()
    private let planes = ScratchBuffer()
    private let entropyDecoder = EntropyFrameDecoder()
    private var decompressor: ZstdDecompressor?

    /// Reverses the filters that were applied to a chunk, and says whether the chunk has a checksum.
    ///
    /// `destination` holds exactly one chunk.
    func decode(
        _ stored: UnsafeRawBufferPointer, _ filters: [HDF5Filter], _ mask: UInt32, elementSize: Int,
        into destination: UnsafeMutableRawBufferPointer
    ) throws -> Bool {
        let applied = filters.indices.filter { mask >> $0 & 1 == 0 }.map { filters[$0].identifier }
        let isShuffled = applied.contains(CheckpointLayout.shuffleFilter) && elementSize > 1
        var bytes = stored
        var hasChecksum = false
        if applied.contains(CheckpointLayout.zstdFilter) {
            if isShuffled, entropyDecoder.decode(stored, elementSize: elementSize, into: destination) { return true }
            let target = isShuffled ? planes.resized(to: destination.count) : destination
            hasChecksum = try frameDecompressor().decompress(stored, into: target)
            guard isShuffled else { return hasChecksum }
            bytes = UnsafeRawBufferPointer(target)
        }
        guard bytes.count == destination.count else {
            throw ZstdProblem("\(bytes.count) bytes are stored, but the chunk has \(destination.count)")
        }
        if isShuffled {
            ByteShuffle.unshuffle(bytes, elementSize: elementSize, into: destination)
        } else {
            destination.copyMemory(from: bytes)
        }
        return hasChecksum
    }

    /// Decompresses a chunk without unshuffling it; nil if the chunk was not shuffled and compressed.
    func decodePlanes(
        _ stored: UnsafeRawBufferPointer, _ filters: [HDF5Filter], _ mask: UInt32, elementSize: Int, byteCount: Int
    ) throws -> UnsafeRawBufferPointer? {
        let applied = filters.indices.filter { mask >> $0 & 1 == 0 }.map { filters[$0].identifier }
        guard applied == [CheckpointLayout.shuffleFilter, CheckpointLayout.zstdFilter] else { return nil }
        let target = planes.resized(to: byteCount)
        if !entropyDecoder.decodePlanes(stored, planeCount: elementSize, into: target) {
            _ = try frameDecompressor().decompress(stored, into: target)
        }
        return UnsafeRawBufferPointer(target)
    }

    private func frameDecompressor() throws -> ZstdDecompressor {
        if let decompressor { return decompressor }
        let made = try ZstdDecompressor()
        decompressor = made
        return made
    }
}
