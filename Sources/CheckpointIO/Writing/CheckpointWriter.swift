import Parallel
import Synchronization

/// The result of writing a checkpoint.
public struct WrittenCheckpoint: Sendable, Equatable {
    /// `CheckpointFile.digest` of the new file.
    public var digest: String
    /// Bytes of all tensors before compression.
    public var logicalByteCount: Int
    /// The size of the file.
    public var fileByteCount: Int
}

/// Writes checkpoints.
public enum CheckpointWriter {
    /// Writes a checkpoint atomically.
    ///
    /// The file is written under a temporary name in the same folder, flushed to the disk and renamed. After a failure
    /// or crash, `path` is the old file or the complete new one. Memory use, apart from the contents, is a few chunks
    /// per core.
    ///
    /// - Parameters:
    ///   - metadata: Everything in the checkpoint except the tensors.
    ///   - tensors: The tensors with the sources of their bytes.
    ///   - path: The file to be written.
    ///   - overwrite: Whether an existing file is replaced.
    ///   - progress: Called with the uncompressed bytes done so far, from several threads.
    /// - Returns: Digest and sizes.
    /// - Throws: `CheckpointError`, or an error of a tensor's content; the temporary file is removed.
    public static func write(
        _ metadata: CheckpointMetadata, tensors: [TensorToWrite], to path: String, overwrite: Bool,
        progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> WrittenCheckpoint {
        let content = try Content(metadata, tensors)
        return try write([], to: path, overwrite: overwrite, progress) { content }
    }

    /// Checks that metadata can be written and read back, whatever tensors it is written with.
    ///
    /// - Throws: `CheckpointError.invalid` naming the part that cannot be stored.
    package static func check(_ metadata: CheckpointMetadata) throws { _ = try RecordWriter(metadata) }

    /// Bytes of metadata that could be added and still be read back.
    ///
    /// - Throws: `CheckpointError.invalid` naming the part that cannot be stored.
    package static func freeRecordBytes(_ metadata: CheckpointMetadata) throws -> Int {
        try CheckpointLayout.maximumRecordBytes - RecordWriter(metadata).datasetBytes
    }

    /// Writes tensors copied from another checkpoint while `rest` computes the remaining content on another thread.
    ///
    /// If `rest` throws, copying ends with its error. Otherwise identical to `write(_:tensors:to:overwrite:progress:)`.
    package static func write(
        copying copies: [TensorToWrite], to path: String, overwrite: Bool, progress: (@Sendable (Int) -> Void)? = nil,
        while rest: @escaping @Sendable () throws -> (CheckpointMetadata, [TensorToWrite])
    ) throws -> WrittenCheckpoint {
        try TensorNames.check(copies, tied: [:])
        return try write(copies, to: path, overwrite: overwrite, progress) {
            let (metadata, tensors) = try rest()
            return try Content(metadata, tensors, copies: copies)
        }
    }

    /// Checked content to be written.
    private struct Content: Sendable {
        let records: RecordWriter
        /// The tensors that are not copied before.
        let tensors: [TensorToWrite]

        init(_ metadata: CheckpointMetadata, _ tensors: [TensorToWrite], copies: [TensorToWrite] = []) throws {
            let isWhole = metadata.adaptedWeights.isEmpty
            try TensorNames.check(copies + tensors, tied: isWhole ? metadata.tiedTensors : [:])
            for tensor in tensors {
                guard case .memory(let memory) = tensor.content, memory.bytes.count != tensor.description.byteCount
                else { continue }
                throw CheckpointError.invalid(
                    name: tensor.description.name,
                    problem: "has \(tensor.description.byteCount) bytes, but its memory has \(memory.bytes.count)")
            }
            records = try RecordWriter(metadata)
            try Self.check(metadata.adapter, copies + tensors, isWhole: isWhole)
            try Self.checkObjectCount((copies + tensors).map(\.path) + records.records.map(\.path) + records.groups)
            self.tensors = tensors
        }

        /// - Throws: `CheckpointError.invalid` if an adapter lacks tensors, or there are some without an adapter.
        private static func check(_ adapter: AdapterRecord?, _ tensors: [TensorToWrite], isWhole: Bool) throws {
            let groups = Dictionary(grouping: tensors, by: \.group).mapValues { $0.map(\.description) }
            guard isWhole else {
                // The rest is checked when the base is at hand.
                guard adapter == nil || groups[.weights] != nil || groups[.base] != nil else { return }
                throw CheckpointError.invalid(
                    name: TensorGroup.weights.path,
                    problem: "has tensors, or there is no adapter, in a file without weights")
            }
            if let misfit = adapter?.misfit({ groups[$0] ?? [] }) {
                throw CheckpointError.invalid(name: misfit.place, problem: misfit.problem)
            }
            guard adapter == nil, let group = [TensorGroup.adapter, .base].first(where: { groups[$0] != nil }) else {
                return
            }
            throw CheckpointError.invalid(name: group.path, problem: "has tensors, but the metadata has no adapter")
        }

        /// - Throws: `CheckpointError.invalid` if there are more groups and datasets than a reader accepts.
        private static func checkObjectCount(_ paths: [String]) throws {
            // Each path adds as many objects as it has names, at most.
            let bound = paths.reduce(1) { $0 + $1.utf8.count { $0 == UInt8(ascii: "/") } }
            guard bound > CheckpointLayout.maximumObjects else { return }
            var objects = Set([""])
            for path in paths {
                var rest = path[...]
                while let slash = rest.lastIndex(of: "/") {
                    objects.insert(String(rest))
                    rest = rest[..<slash]
                }
            }
            guard objects.count > CheckpointLayout.maximumObjects else { return }
            throw CheckpointError.invalid(
                name: "/",
                problem: "has \(objects.count) groups and datasets; a checkpoint has at most "
                    + "\(CheckpointLayout.maximumObjects)")
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

    /// Writes the copies while `makeContent` computes the rest.
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
        // The thread has set it.
        // swift-format-ignore: NeverForceUnwrap
        return (try made.withLock { try $0!.get() }, try tensors.get())
    }

    /// The compressed chunks of a record; none if it is not compressed.
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

    /// Writes a dataset that is not a tensor.
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
            type: HDF5Datatype(value.type), shape: value.shape, storage: storage, attributes: [])
    }

    /// The digest of the tensors, and the root attributes with both digests.
    private static func digests(
        _ records: RecordWriter, _ tensors: [(TensorToWrite, EncodedTensor)]
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
