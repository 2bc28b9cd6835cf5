import Parallel
import Synchronization

/// Where a tensor's bytes come from while it is written.
public enum TensorContent: Sendable {
    /// Fills the given range of logical little-endian bytes; may be called from several threads, ranges of one tensor
    /// in ascending order.
    case bytes(@Sendable (_ range: Range<Int>, _ into: UnsafeMutableRawBufferPointer) throws -> Void)
    /// Bytes that are in memory; not copied.
    case memory(TensorMemory)
    /// The stored chunks of a tensor of another checkpoint as they are, its sha256 with them: nothing is decompressed.
    case copy(CheckpointFile, StoredTensor)
    /// A tensor of another checkpoint with some bytes changed or added: chunks without such bytes keep their stored
    /// form and are hashed only.
    case edited(TensorEdit)
}

/// The logical little-endian bytes of a tensor, kept alive by their owner. They must not change while they are written.
public struct TensorMemory: @unchecked Sendable {
    // Sendable because the bytes do not change.
    let bytes: UnsafeRawBufferPointer
    private let owner: AnyObject

    public init(_ bytes: UnsafeRawBufferPointer, owner: AnyObject) {
        self.bytes = bytes
        self.owner = owner
    }
}

/// What becomes of a stored tensor of which a part changes.
public struct TensorEdit: Sendable {
    let source: CheckpointFile
    let stored: StoredTensor
    private let changed: [Range<Int>]
    let fill: @Sendable (_ range: Range<Int>, _ into: UnsafeMutableRawBufferPointer) throws -> Void

    /// - Parameters:
    ///   - changed: logical bytes that may differ from `stored`; those behind its end need not be listed.
    ///   - fill: gives any range of the new bytes, as `TensorContent.bytes` does.
    public init(
        of stored: StoredTensor, in source: CheckpointFile, changed: [Range<Int>],
        fill: @escaping @Sendable (_ range: Range<Int>, _ into: UnsafeMutableRawBufferPointer) throws -> Void
    ) {
        self.source = source
        self.stored = stored
        self.changed = changed
        self.fill = fill
    }

    /// The cut into chunks that lets the stored ones be kept; nil where the tensor is stored in another way than ours,
    /// or becomes one whose rows are not those of `stored`.
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

    /// The stored form of a chunk that covers the bytes `range`, nil where they change.
    func keptChunk(_ number: Int, covering range: Range<Int>) -> StoredChunk? {
        guard range.upperBound <= stored.description.byteCount, !changed.contains(where: { $0.overlaps(range) }) else {
            return nil
        }
        return stored.chunks[number]
    }
}

/// A tensor to be stored.
public struct TensorToWrite: Sendable {
    public var group: TensorGroup
    public var description: TensorDescription
    public var content: TensorContent

    public init(group: TensorGroup = .weights, description: TensorDescription, content: TensorContent) {
        self.group = group
        self.description = description
        self.content = content
    }

    /// The path of the dataset.
    var path: String { "\(group.path)/\(CheckpointLayout.relativePath(ofTensor: description.name))" }
}

/// What was written.
public struct WrittenCheckpoint: Sendable, Equatable {
    /// Names the state: SHA-256 over all tensors' names, types, shapes and contents.
    public var digest: String
    /// Bytes of all tensors before compression.
    public var logicalByteCount: Int
    public var fileByteCount: Int
}

/// Writes checkpoints.
public enum CheckpointWriter {
    /// Writes a checkpoint under a temporary name in the folder of `path`, flushes it to the disk, gives it its name
    /// and flushes the folder: whatever happens, `path` holds the old file or the complete new one.
    ///
    /// Memory beyond what the contents need is a few chunks a core.
    /// - Parameter progress: gets the logical bytes done so far, from several threads.
    /// - Throws: `CheckpointError`, or what a content throws; the temporary file is removed.
    public static func write(
        _ metadata: CheckpointMetadata, tensors: [TensorToWrite], to path: String, overwrite: Bool,
        progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> WrittenCheckpoint {
        let content = try Content(metadata, tensors)
        return try write([], to: path, overwrite: overwrite, progress) { content }
    }

    /// Writes `copies`, tensors that are taken over from another checkpoint as they are stored, while `rest` works out
    /// what else the checkpoint has; then that. Else like `write`.
    ///
    /// - Parameter rest: runs on a thread of its own; where it throws, copying ends.
    /// - Throws: `CheckpointError`, or what `rest` or a content throws; the temporary file is removed.
    public static func write(
        copying copies: [TensorToWrite], to path: String, overwrite: Bool, progress: (@Sendable (Int) -> Void)? = nil,
        while rest: @escaping @Sendable () throws -> (CheckpointMetadata, [TensorToWrite])
    ) throws -> WrittenCheckpoint {
        try TensorNames.check(copies, tied: [:])
        return try write(copies, to: path, overwrite: overwrite, progress) {
            let (metadata, tensors) = try rest()
            return try Content(metadata, tensors, copies: copies)
        }
    }

    /// What there is to write, checked.
    private struct Content: Sendable {
        let records: CheckpointRecords
        /// Without those that are copied while this is made.
        let tensors: [TensorToWrite]

        init(_ metadata: CheckpointMetadata, _ tensors: [TensorToWrite], copies: [TensorToWrite] = []) throws {
            try TensorNames.check(copies + tensors, tied: metadata.tiedTensors)
            for tensor in tensors {
                guard case .memory(let memory) = tensor.content, memory.bytes.count != tensor.description.byteCount
                else { continue }
                throw CheckpointError.invalid(
                    name: tensor.description.name,
                    problem: "has \(tensor.description.byteCount) bytes, its memory \(memory.bytes.count)")
            }
            records = try CheckpointRecords(metadata)
            self.tensors = tensors
        }
    }

    private static func write(
        _ copies: [TensorToWrite], to path: String, overwrite: Bool, _ progress: (@Sendable (Int) -> Void)?,
        _ content: @escaping @Sendable () throws -> Content
    ) throws -> WrittenCheckpoint {
        let file = try AtomicFile(path, overwrite: overwrite)
        do {
            let output = try HDF5Output(creating: file.temporaryPath, reportedAs: path)
            let (digest, logicalByteCount) = try writeAll(copies, into: output, progress, content)
            let size = try file.byteCount()
            try file.commit()
            return WrittenCheckpoint(digest: digest, logicalByteCount: logicalByteCount, fileByteCount: size)
        } catch {
            file.discard()
            throw error
        }
    }

    private static func writeAll(
        _ copies: [TensorToWrite], into output: HDF5Output, _ progress: (@Sendable (Int) -> Void)?,
        _ makeContent: @escaping @Sendable () throws -> Content
    ) throws -> (digest: String, logicalByteCount: Int) {
        let (content, copied) = try encode(copies, into: output, progress, while: makeContent)
        let records = content.records
        let copiedByteCount = copies.reduce(0) { $0 + $1.description.byteCount }
        let rest = TensorEncoder(output, content.tensors) { progress?(copiedByteCount + $0) }
        let frames = Mutex<Result<[[[UInt8]]], any Error>>(.success([]))
        let compressing = try WorkerThread {
            let result = Result { try records.records.map(Self.frames) }
            frames.withLock { $0 = result }
        }
        let encoded = Result { try rest.encode() }
        compressing.join()
        let tensors = try Array(zip(copies + content.tensors, copied + encoded.get()))
        let recordFrames = try frames.withLock { try $0.get() }
        var datasets = tensors.map { ($0.path, dataset(of: $0.description, $1)) }
        for (record, frames) in zip(records.records, recordFrames) where record.attribute == nil {
            datasets.append((record.path, try write(record, frames, to: output)))
        }
        let (digest, seals) = digests(records, tensors)
        let attributes = (records.records + seals).compactMap { record in
            record.attribute.map { (record.path, $0, record.value) }
        }
        try output.finish(HDF5Group(datasets: datasets, groups: records.groups, attributes: attributes))
        return (digest, tensors.reduce(0) { $0 + $1.0.description.byteCount })
    }

    private static func dataset(of description: TensorDescription, _ encoded: EncodedTensor) -> HDF5Dataset {
        HDF5Dataset(
            type: .element(description.elementType), shape: description.shape.isEmpty ? nil : description.shape,
            storage: encoded.storage,
            attributes: TensorEncoder.attributes(type: description.elementType, sha256: encoded.sha256))
    }

    /// Writes the copies while the rest is worked out.
    private static func encode(
        _ copies: [TensorToWrite], into output: HDF5Output, _ progress: (@Sendable (Int) -> Void)?,
        while makeContent: @escaping @Sendable () throws -> Content
    ) throws -> (content: Content, tensors: [EncodedTensor]) {
        guard !copies.isEmpty else { return (try makeContent(), []) }
        let encoder = TensorEncoder(output, copies, progress)
        let made = Mutex<Result<Content, any Error>?>(nil)
        let thread = try WorkerThread {
            let result = Result { try makeContent() }
            if case .failure(let error) = result { encoder.stop(error) }
            made.withLock { $0 = result }
        }
        let tensors = Result { try encoder.encode() }
        thread.join()
        return (try made.withLock { try $0!.get() }, try tensors.get())
    }

    /// The compressed chunks of a record; none where it is not compressed.
    private static func frames(of record: CheckpointRecord) throws -> [[UInt8]] {
        guard let grid = grid(of: record) else { return [] }
        let workspace = EncodingWorkspace()
        let frame = ScratchBuffer()
        return try record.value.bytes.withUnsafeBytes { bytes in
            try (0..<grid.count).map { number in
                let range = grid.byteRange(ofChunk: number)
                let chunk = workspace.raw[0].resized(to: grid.chunkByteCount)
                chunk.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[range]))
                UnsafeMutableRawBufferPointer(rebasing: chunk[range.count...])
                    .initializeMemory(as: UInt8.self, repeating: 0)
                try workspace.compress(
                    UnsafeRawBufferPointer(chunk), elementSize: grid.elementSize,
                    .matching, into: frame)
                return Array(frame.content)
            }
        }
    }

    private static func grid(of record: CheckpointRecord) -> ChunkGrid? {
        guard record.isCompressed else { return nil }
        return ChunkGrid(storing: record.value.shape ?? [], elementSize: record.value.type.byteCount)
    }

    /// Writes the bytes of a dataset that is no tensor.
    private static func write(
        _ record: CheckpointRecord, _ frames: [[UInt8]], to output: HDF5Output
    ) throws -> HDF5Dataset {
        let value = record.value
        let storage: StoredLayout
        if let grid = grid(of: record) {
            let level = ZstdEffort.matching.recordedLevel
            let chunks = try frames.map { frame in
                try frame.withUnsafeBytes { try output.appendChunk($0, filterMask: 0) }
            }
            storage = .chunked(
                grid, HDF5Filter.shuffleAndZstd(elementSize: grid.elementSize, level: level), chunks)
        } else {
            storage = try value.bytes.withUnsafeBytes { try output.appendContiguous($0) }
        }
        return HDF5Dataset(
            type: HDF5Datatype.Parsed(value.type), shape: value.shape, storage: storage, attributes: [])
    }

    /// The state's digest, and the root attributes that seal the file.
    private static func digests(
        _ records: CheckpointRecords, _ tensors: [(TensorToWrite, EncodedTensor)]
    ) -> (digest: String, attributes: [CheckpointRecord]) {
        var state = ManifestDigest()
        var manifest = ManifestDigest()
        for (tensor, encoded) in tensors {
            let sha256 = encoded.sha256
            let type = tensor.description.elementType.rawValue
            state.add(path: tensor.path, type: type, shape: tensor.description.shape, sha256: sha256)
            for (name, value) in TensorEncoder.attributes(type: tensor.description.elementType, sha256: sha256) {
                manifest.add(path: "\(tensor.path)@\(name)", value)
            }
        }
        let digest = CheckpointRecord(path: "/", attribute: "digest", value: .text(state.value()))
        for record in records.records + [digest] { manifest.add(path: record.digestPath, record.value) }
        let recordDigest = CheckpointRecord(path: "/", attribute: "record_digest", value: .text(manifest.value()))
        return (state.value(), [digest, recordDigest])
    }
}
