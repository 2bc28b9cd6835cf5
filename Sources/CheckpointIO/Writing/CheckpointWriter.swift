/// Where a tensor's bytes come from while it is written.
public enum TensorContent: Sendable {
    /// Fills the given range of logical little-endian bytes; may be called from several threads, ranges of one tensor
    /// in ascending order.
    case bytes(@Sendable (_ range: Range<Int>, _ into: UnsafeMutableRawBufferPointer) throws -> Void)
    /// The stored chunks of a tensor of another checkpoint as they are, its sha256 with them: nothing is decompressed.
    case copy(CheckpointFile, StoredTensor)
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
        try TensorNames.check(tensors, tied: metadata.tiedTensors)
        let records = try CheckpointRecords(metadata)
        let file = try AtomicFile(path, overwrite: overwrite)
        do {
            let digest = try write(records, tensors, to: file.temporaryPath, reportedAs: path, progress)
            let size = try file.byteCount()
            try file.commit()
            return WrittenCheckpoint(
                digest: digest, logicalByteCount: tensors.reduce(0) { $0 + $1.description.byteCount },
                fileByteCount: size)
        } catch {
            file.discard()
            throw error
        }
    }

    private static func write(
        _ records: CheckpointRecords, _ tensors: [TensorToWrite], to temporaryPath: String,
        reportedAs path: String, _ progress: (@Sendable (Int) -> Void)?
    ) throws -> String {
        let thread = HDF5Thread.shared
        let output = try thread.run { try HDF5Output(creating: temporaryPath, reportedAs: path) }
        do {
            let encoder = TensorEncoder(output, progress)
            try thread.run { for group in records.groups { try output.createGroup(group) } }
            let hashes = try encoder.encode(tensors)
            for record in records.records where record.isCompressed { try encoder.encode(record) }
            let (digest, attributes) = digests(records, tensors, hashes)
            try thread.run {
                for record in records.records where record.attribute == nil && !record.isCompressed {
                    let dataset = try output.createDataset(
                        record.path, record.value.type, record.value.shape, .contiguous)
                    try record.value.bytes.withUnsafeBytes { try output.write($0, to: dataset, record.path) }
                    try output.closeDataset(dataset, record.path)
                }
                for record in records.records + attributes {
                    guard let name = record.attribute else { continue }
                    try output.writeAttribute(name, of: record.path, record.value)
                }
                try output.close()
            }
            return digest
        } catch {
            try? thread.run { try output.close() }
            throw error
        }
    }

    /// The state's digest, and the root attributes that seal the file.
    private static func digests(
        _ records: CheckpointRecords, _ tensors: [TensorToWrite], _ hashes: [String]
    ) -> (digest: String, attributes: [CheckpointRecord]) {
        var state = ManifestDigest()
        var manifest = ManifestDigest()
        for (tensor, sha256) in zip(tensors, hashes) {
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
