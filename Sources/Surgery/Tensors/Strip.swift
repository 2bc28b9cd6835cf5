import CheckpointIO

/// Drops optimizer moments, adapter and training state; history, probes and lineage stay.
public enum Strip {
    /// Writes a copy of a checkpoint without the data that only further training needs.
    ///
    /// - Throws: an error of reading or writing; no output exists then.
    public static func run(
        _ input: CheckpointFile, to destination: SurgeryDestination
    ) throws -> SurgeryResult {
        let dropped = TensorGroup.allCases.filter { $0 != .weights }.flatMap { input.tensors(in: $0) }
        var result = SurgeryOutput(
            "strip", arguments: [:], of: input, to: destination,
            report: [
                "dropped_tensors": .integer(dropped.count),
                "dropped_bytes": .integer(dropped.reduce(0) { $0 + $1.storedByteCount }),
            ])
        result.metadata.dropTrainingState()
        for tensor in input.tensors() { result.copy(tensor, from: input) }
        return try result.write()
    }
}
