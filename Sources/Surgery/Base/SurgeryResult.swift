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
    }

    /// Adds a tensor as compressed chunks, optionally under another name.
    mutating func copy(_ tensor: StoredTensor, from file: CheckpointFile, as name: String? = nil) {
        tensors.append(TensorToWrite(copying: tensor, of: file, as: name))
    }

    /// Makes the result a model without optimizer and training state.
    mutating func dropTrainingState() {
        metadata.kind = .model
        metadata.optimizer = nil
        metadata.trainingState = nil
    }

    func write() throws -> SurgeryResult {
        var metadata = metadata
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

extension TensorToWrite {
    /// Copies a tensor as compressed chunks, optionally under another name.
    init(copying tensor: StoredTensor, of file: CheckpointFile, as name: String? = nil) {
        var description = tensor.description
        if let name { description.name = name }
        self.init(group: tensor.group, description: description, content: .copy(file, tensor))
    }
}

extension CheckpointFile {
    /// The tensors of all groups, in the order in which they are written.
    package var allTensors: [StoredTensor] {
        [TensorGroup.weights, .optimizerM, .optimizerV].flatMap { tensors(in: $0) }
    }
}
