import CheckpointIO

/// Drops what only further training needs: optimizer moments and training state. What a person looks at (history,
/// probes, lineage) stays.
public enum Strip {
    public static func run(
        _ input: CheckpointFile, to output: String, overwrite: Bool, tool: String,
        progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> SurgeryResult {
        let dropped = [TensorGroup.optimizerM, .optimizerV].flatMap { input.tensors(in: $0) }
        var result = SurgeryOutput(
            "strip", arguments: [:], of: input, tool: tool,
            report: [
                "dropped_tensors": .integer(dropped.count),
                "dropped_bytes": .integer(dropped.reduce(0) { $0 + $1.storedByteCount }),
            ])
        result.metadata.kind = .model
        result.metadata.optimizer = nil
        result.metadata.trainingState = nil
        for tensor in input.tensors() { result.copy(tensor, from: input, in: .weights) }
        return try result.write(to: output, overwrite: overwrite, progress: progress)
    }
}
