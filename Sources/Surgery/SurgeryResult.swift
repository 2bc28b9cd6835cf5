import CheckpointIO
import OrderedJSON

/// What an operation on tensors did.
public struct SurgeryResult: Sendable {
    public let digest: String
    public let fileByteCount: Int
    /// Tensors whose compressed chunks were copied, and tensors written anew.
    public let copiedTensorCount: Int
    public let writtenTensorCount: Int
    /// What there is to say about it, also in the lineage.
    public let report: JSON

    /// As `--json` prints it.
    public var json: JSON {
        [
            "digest": .string(digest), "file_bytes": .integer(fileByteCount),
            "tensors_copied": .integer(copiedTensorCount), "tensors_written": .integer(writtenTensorCount),
            "report": report,
        ]
    }
}

/// A new checkpoint in the making: what it is made of, and how it came to be.
struct SurgeryOutput {
    let operation: String
    let arguments: JSON
    /// The state the result continues.
    let parent: CheckpointFile
    let tool: String
    var metadata: CheckpointMetadata
    var tensors: [TensorToWrite]
    var report: JSON

    init(_ operation: String, arguments: JSON, of parent: CheckpointFile, tool: String, report: JSON = [:]) {
        self.operation = operation
        self.arguments = arguments
        self.parent = parent
        self.tool = tool
        self.report = report
        metadata = parent.metadata
        metadata.createdBy = tool
        tensors = []
    }

    /// Adds a tensor as it is, under another name where one is given.
    mutating func copy(_ tensor: StoredTensor, from file: CheckpointFile, in group: TensorGroup, as name: String? = nil)
    {
        var description = tensor.description
        if let name { description.name = name }
        tensors.append(TensorToWrite(group: group, description: description, content: .copy(file, tensor)))
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

/// All three groups, in the order in which they are written.
let allTensorGroups: [TensorGroup] = [.weights, .optimizerM, .optimizerV]
