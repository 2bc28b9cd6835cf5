import CHDF5
import Synchronization

/// Turns tensors into datasets: hashes, shuffles and compresses on all cores, a chunk at a time while it is in cache,
/// and hands the result to libhdf5's thread.
final class TensorEncoder: Sendable {
    typealias Fill = @Sendable (_ range: Range<Int>, _ into: UnsafeMutableRawBufferPointer) throws -> Void

    private let output: HDF5Output
    private let progress: (@Sendable (Int) -> Void)?
    private let done = Atomic<Int>(0)
    private let workspaces = Mutex<[EncodingWorkspace]>([])
    private let hashes = Mutex<[Int: String]>([:])

    init(_ output: HDF5Output, _ progress: (@Sendable (Int) -> Void)?) {
        self.output = output
        self.progress = progress
    }

    /// The attributes every tensor has.
    static func attributes(type: ElementType, sha256: String) -> [(name: String, value: HDF5Value)] {
        [("dtype", .text(type.rawValue)), ("sha256", .text(sha256))]
    }

    /// Writes all tensors, the largest first so that no core is left alone with one at the end. Called once.
    /// - Returns: the sha256 of each, in the order given.
    func encode(_ tensors: [TensorToWrite]) throws -> [String] {
        let order = tensors.indices.sorted {
            (tensors[$1].description.byteCount, $0) < (tensors[$0].description.byteCount, $1)
        }
        // One thread more than cores: one of them usually waits for the disk.
        try ParallelWork.forEach(order.count, threadCount: ParallelWork.coreCount + 1) { index in
            let sha256 = try self.encode(tensors[order[index]])
            self.hashes.withLock { $0[order[index]] = sha256 }
        }
        return hashes.withLock { hashes in tensors.indices.map { hashes[$0] ?? "" } }
    }

    /// Writes a compressed dataset that is no tensor.
    func encode(_ record: CheckpointRecord) throws {
        let bytes = record.value.bytes
        let workspace = EncodingWorkspace()
        let path = record.path
        let shape = record.value.shape ?? []
        let fill: Fill = { range, target in
            bytes.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
        }
        let dataset = try encode(path, record.value.type, shape, fill, workspace).dataset
        try HDF5Thread.shared.run { [output] in try output.closeDataset(dataset, path) }
    }

    private func encode(_ tensor: TensorToWrite) throws -> String {
        let workspace = workspaces.withLock { $0.popLast() } ?? EncodingWorkspace()
        defer { workspaces.withLock { $0.append(workspace) } }
        let path = tensor.path
        let type = tensor.description.elementType
        let shape = tensor.description.shape
        let result: (dataset: hid_t, sha256: String)
        switch tensor.content {
        case .bytes(let fill):
            result = try encode(path, .element(type), shape, fill, workspace)
        case .copy(let source, let stored):
            if case .chunked(let grid, let filters) = stored.storage {
                let dataset = try copyChunks(path, type, source, stored, grid, filters, workspace)
                result = (dataset, stored.sha256)
            } else {
                result = try encode(
                    path, .element(type), shape, { try source.readContiguous(stored, range: $0, into: $1) }, workspace)
                guard result.sha256 == stored.sha256 else {
                    throw source.damage(to: stored, "its bytes do not have the recorded sha256")
                }
            }
        }
        try HDF5Thread.shared.run { [output] in
            for (name, value) in Self.attributes(type: type, sha256: result.sha256) {
                try output.writeAttribute(name, of: result.dataset, path, value)
            }
            try output.closeDataset(result.dataset, path)
        }
        return result.sha256
    }

    /// Writes a dataset from its logical bytes and leaves it open.
    private func encode(
        _ path: String, _ type: HDF5ValueType, _ shape: [Int], _ fill: Fill, _ workspace: EncodingWorkspace
    ) throws -> (dataset: hid_t, sha256: String) {
        let byteCount = shape.reduce(type.byteCount, *)
        var hash = SHA256()
        if shape.isEmpty || byteCount <= CheckpointLayout.contiguousLimit {
            let raw = workspace.raw.resized(to: byteCount)
            if byteCount > 0 { try fill(0..<byteCount, raw) }
            hash.update(UnsafeRawBufferPointer(raw))
            let bytes = SharedBytes(UnsafeRawBufferPointer(raw))
            let dataset = try HDF5Thread.shared.run { [output] in
                let dataset = try output.createDataset(path, type, shape, .contiguous)
                try output.write(bytes.buffer, to: dataset, path)
                return dataset
            }
            report(byteCount)
            return (dataset, hash.finalize())
        }
        let grid = ChunkGrid(cutting: shape, elementSize: type.byteCount)
        let compressor = try workspace.compressor(for: path)
        let raw = workspace.raw.resized(to: grid.chunkByteCount)
        var dataset: hid_t?
        var effort = ZstdEffort.entropyOnly
        for number in 0..<grid.count {
            let range = grid.byteRange(ofChunk: number)
            let content = UnsafeMutableRawBufferPointer(rebasing: raw[..<range.count])
            try fill(range, content)
            UnsafeMutableRawBufferPointer(rebasing: raw[range.count...]).initializeMemory(as: UInt8.self, repeating: 0)
            hash.update(UnsafeRawBufferPointer(content))
            if number == 0 {
                effort = try workspace.chooseEffort(for: UnsafeRawBufferPointer(raw), elementSize: grid.elementSize)
                let level = UInt32(bitPattern: effort.recordedLevel)
                dataset = try HDF5Thread.shared.run { [output] in
                    try output.createDataset(
                        path, type, shape,
                        .chunked(grid.chunkShape, Self.filters(elementSize: grid.elementSize, level: level)))
                }
            }
            let frame = try workspace.compress(
                UnsafeRawBufferPointer(raw), elementSize: grid.elementSize, compressor, effort)
            try write(frame, mask: 0, chunk: grid.offset(ofChunk: number), to: dataset!, path)
            report(range.count)
        }
        return (dataset!, hash.finalize())
    }

    private func copyChunks(
        _ path: String, _ type: ElementType, _ source: CheckpointFile, _ stored: StoredTensor, _ grid: ChunkGrid,
        _ filters: [HDF5Filter], _ workspace: EncodingWorkspace
    ) throws -> hid_t {
        let dataset = try HDF5Thread.shared.run { [output] in
            try output.createDataset(path, .element(type), grid.shape, .chunked(grid.chunkShape, filters))
        }
        for number in 0..<grid.count {
            let chunk = stored.chunks[number]
            let buffer = workspace.raw.resized(to: chunk.byteCount)
            try source.readStored(chunk, of: stored, into: buffer)
            try write(
                UnsafeRawBufferPointer(buffer), mask: chunk.filterMask, chunk: grid.offset(ofChunk: number),
                to: dataset, path)
            report(stored.description.byteCount / grid.count)
        }
        return dataset
    }

    private func write(
        _ bytes: UnsafeRawBufferPointer, mask: UInt32, chunk offset: [Int], to dataset: hid_t, _ path: String
    ) throws {
        let bytes = SharedBytes(bytes)
        try HDF5Thread.shared.run { [output] in
            try output.writeChunk(bytes.buffer, filterMask: mask, offset: offset, to: dataset, path)
        }
    }

    private func report(_ byteCount: Int) {
        let total = done.wrappingAdd(byteCount, ordering: .relaxed).newValue
        progress?(total)
    }

    private static func filters(elementSize: Int, level: UInt32) -> [HDF5Filter] {
        let zstd = HDF5Filter(identifier: CheckpointLayout.zstdFilter, parameters: [level])
        guard elementSize > 1 else { return [zstd] }
        return [HDF5Filter(identifier: CheckpointLayout.shuffleFilter, parameters: [UInt32(elementSize)]), zstd]
    }
}

/// Bytes lent to libhdf5's thread while the lender waits for it.
private struct SharedBytes: @unchecked Sendable {
    // Sendable because nobody else touches the bytes until `HDF5Thread.run` has returned.
    let buffer: UnsafeRawBufferPointer

    init(_ buffer: UnsafeRawBufferPointer) { self.buffer = buffer }
}
