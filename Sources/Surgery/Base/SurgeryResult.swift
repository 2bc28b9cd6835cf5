import CheckpointIO
import OrderedJSON

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
    let tool: String
    var metadata: CheckpointMetadata
    var tensors: [TensorToWrite] = []
    var report: JSON

    init(_ operation: String, arguments: JSON, of parent: CheckpointFile, tool: String, report: JSON = [:]) {
        self.operation = operation
        self.arguments = arguments
        self.parent = parent
        self.tool = tool
        self.report = report
        metadata = parent.metadata
        metadata.createdBy = tool
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

    func write(
        to path: String, overwrite: Bool, progress: (@Sendable (Int) -> Void)?
    ) throws -> SurgeryResult {
        var metadata = metadata
        metadata.lineage.append(
            LineageEntry(
                operation: operation, arguments: arguments, parent: parent.digest, tool: tool, report: report
            ).text)
        let written = try CheckpointWriter.write(
            metadata, tensors: tensors, to: path, overwrite: overwrite, progress: progress)
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
