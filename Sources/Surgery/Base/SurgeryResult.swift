import CheckpointIO
import OrderedJSON

/// Where an operation writes its result.
public struct SurgeryDestination: Sendable {
    /// The path of the new checkpoint.
    public var path: String
    /// Whether an existing file may be replaced.
    public var overwrite: Bool
    /// Name and version of the program, for `created_by` and the lineage.
    public var tool: String
    /// Receives the logical bytes written so far.
    public var progress: (@Sendable (Int) -> Void)?

    /// Creates a destination.
    public init(
        _ path: String, overwrite: Bool = false, tool: String = "ckpt", progress: (@Sendable (Int) -> Void)? = nil
    ) {
        self.path = path
        self.overwrite = overwrite
        self.tool = tool
        self.progress = progress
    }
}

/// What an operation on tensors did.
public struct SurgeryResult: Sendable {
    /// The digest of the new checkpoint.
    public let digest: String
    /// The size of the new file.
    public let fileByteCount: Int
    /// Tensors copied as compressed chunks.
    public let copiedTensorCount: Int
    /// Tensors written with new content.
    public let writtenTensorCount: Int
    /// Details of the operation, as recorded in the lineage.
    public let report: JSON

    /// Remarks for the user, one line each.
    package var notes: [String] {
        (report["notes"]?.array?.compactMap(\.string) ?? [])
            + (report["dropped_adapter"] == nil ? [] : [SurgeryOutput.droppedAdapterNote])
    }

    /// The result as `--json` prints it.
    public var json: JSON {
        [
            "digest": .string(digest), "file_bytes": .integer(fileByteCount),
            "tensors_copied": .integer(copiedTensorCount), "tensors_written": .integer(writtenTensorCount),
            "report": report,
        ]
    }
}

/// A new checkpoint under construction, with the lineage entry that describes it.
struct SurgeryOutput {
    let operation: String
    let arguments: JSON
    /// The checkpoint that the result is derived from.
    let parent: CheckpointFile
    let destination: SurgeryDestination
    var metadata: CheckpointMetadata
    var tensors: [TensorToWrite] = []
    var report: JSON

    init(
        _ operation: String, arguments: JSON, of parent: CheckpointFile, to destination: SurgeryDestination,
        report: JSON = [:]
    ) {
        self.operation = operation
        self.arguments = arguments
        self.parent = parent
        self.destination = destination
        self.report = report
        metadata = parent.metadata
        metadata.createdBy = destination.tool
        if metadata.adapter != nil { metadata.dropTrainingState() }
    }

    static let droppedAdapterNote =
        "the result is a plain model with merged weights; its adapter, optimizer and training state are left out"

    /// Adds a tensor as compressed chunks, optionally under another name.
    mutating func copy(_ tensor: StoredTensor, from file: CheckpointFile, as name: String? = nil) {
        tensors.append(TensorToWrite(copying: tensor, of: file, as: name))
    }

    func write() throws -> SurgeryResult {
        var metadata = metadata
        var report = report
        if parent.metadata.adapter != nil, metadata.adapter == nil { report["dropped_adapter"] = .bool(true) }
        metadata.lineage.append(
            LineageEntry(
                operation: operation, arguments: arguments, parent: parent.digest, tool: destination.tool,
                report: report
            ).text)
        let written = try CheckpointWriter.write(
            metadata, tensors: tensors, to: destination.path, overwrite: destination.overwrite,
            progress: destination.progress)
        let copied = tensors.count {
            if case .copy = $0.content { true } else { false }
        }
        return SurgeryResult(
            digest: written.digest, fileByteCount: written.fileByteCount, copiedTensorCount: copied,
            writtenTensorCount: tensors.count - copied, report: report)
    }
}

extension CheckpointMetadata {
    /// Takes what `dropTrainingState` drops from other metadata.
    mutating func keepTrainingState(of other: CheckpointMetadata) {
        kind = other.kind
        optimizer = other.optimizer
        adapter = other.adapter
        trainingState = other.trainingState
    }
}

extension TensorToWrite {
    /// Copies a tensor as compressed chunks, optionally under another name.
    init(copying tensor: StoredTensor, of file: CheckpointFile, as name: String? = nil) {
        var description = tensor.description
        if let name { description.name = name }
        self.init(group: tensor.group, description: description, content: .copy(file, tensor))
    }
}

extension CheckpointFile {
    /// The tensors that operations keep, in the order in which they are written.
    ///
    /// An adapter is valid for the weights as they are, and its moments are useless without it; an operation on a
    /// checkpoint with an adapter gives a plain model with the merged weights.
    package var allTensors: [StoredTensor] {
        let groups: [TensorGroup] = metadata.adapter == nil ? [.weights, .optimizerM, .optimizerV] : [.weights]
        return groups.flatMap { tensors(in: $0) }
    }
}
