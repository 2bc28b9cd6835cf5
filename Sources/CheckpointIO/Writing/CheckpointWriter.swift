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
    struct Content: Sendable {
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
            let result = Result { try records.records.map { try $0.frames() } }
            frames.withLock { $0 = result }
        }
        let encoded = Result { try rest.encode() }
        compressing.join()
        let tensors = try Array(zip(copies + content.tensors, copied + encoded.get()))
        var state = ManifestDigest()
        for (tensor, encoded) in tensors { state.add(tensor, sha256: encoded.sha256) }
        let digest = state.value()
        try finish(output, records, try frames.withLock { try $0.get() }, tensors, digest: digest)
        return (digest, tensors.reduce(0) { $0 + $1.0.description.byteCount })
    }

    /// Writes the records, whose compressed chunks are `frames`, and the structure of a file with these datasets.
    ///
    /// `digest` is that of the state; `others` are datasets that are neither records nor tensors.
    static func finish(
        _ output: HDF5Output, _ records: RecordWriter, _ frames: [[[UInt8]]],
        _ tensors: [(TensorToWrite, EncodedTensor)], digest: String, others: [(String, HDF5Dataset)] = []
    ) throws {
        var datasets = tensors.map { ($0.path, dataset(of: $0.description, $1)) } + others
        for (record, frames) in zip(records.records, frames) where record.attribute == nil {
            datasets.append((record.path, try record.write(frames, to: output)))
        }
        let attributes = (records.records + seals(records, tensors, digest)).compactMap { record in
            record.attribute.map { (record.path, $0, record.value) }
        }
        try output.finish(HDF5Group(datasets: datasets, groups: records.groups, attributes: attributes))
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

    /// The root attributes with both digests.
    private static func seals(
        _ records: RecordWriter, _ tensors: [(TensorToWrite, EncodedTensor)], _ digest: String
    ) -> [CheckpointRecord] {
        var manifest = ManifestDigest()
        for (tensor, encoded) in tensors {
            for (name, value) in TensorEncoder.attributes(
                type: tensor.description.elementType, sha256: encoded.sha256)
            {
                manifest.add(path: "\(tensor.path)@\(name)", value)
            }
        }
        let state = CheckpointRecord(path: "/", attribute: "digest", value: .text(digest))
        for record in records.records + [state] { manifest.add(path: record.digestPath, record.value) }
        return [state, CheckpointRecord(path: "/", attribute: "record_digest", value: .text(manifest.value()))]
    }
}

extension ManifestDigest {
    mutating func add(_ tensor: TensorToWrite, sha256: String) {
        add(
            path: tensor.path, type: tensor.description.elementType.rawValue, shape: tensor.description.shape,
            sha256: sha256)
    }
}
