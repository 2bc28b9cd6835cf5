import CheckpointIO

/// Keeps a state as what it does not have in common with another, and gives it back.
public enum Delta {
    /// Writes a delta of `state` since `base`.
    ///
    /// - Parameters:
    ///   - state: the state that the delta stands for.
    ///   - base: the state that it needs.
    ///   - isModel: whether optimizer, adapter and training state are left out, as by `Strip`.
    ///   - destination: the file of the delta.
    /// - Returns: Digests, sizes, and how much changed.
    /// - Throws: an error of reading or writing; no output exists then.
    public static func write(
        _ state: CheckpointFile, since base: CheckpointFile, isModel: Bool, to destination: SurgeryDestination
    ) throws -> WrittenDelta {
        var metadata = state.metadata
        if isModel { metadata.dropTrainingState() }
        let groups = isModel ? [.weights] : TensorGroup.allCases
        let tensors = groups.flatMap { state.tensors(in: $0) }.map { TensorToWrite(copying: $0, of: state) }
        return try DeltaWriter.write(
            metadata, tensors: tensors, since: base, to: destination.path, overwrite: destination.overwrite,
            progress: destination.progress)
    }

    /// Writes the state that a delta stands for as a whole checkpoint, with the same digest and metadata.
    ///
    /// - Throws: `CheckpointError.missingDeltaBase` if the delta belongs to another base, and errors of reading or
    ///   writing; no output exists then.
    public static func apply(
        _ path: String, to base: CheckpointFile, writing destination: SurgeryDestination
    ) throws -> WrittenCheckpoint {
        let state = try CheckpointFile(delta: path, on: base)
        let tensors = TensorGroup.allCases.flatMap { state.tensors(in: $0) }
            .map { TensorToWrite(copying: $0, of: state) }
        return try CheckpointWriter.write(
            state.metadata, tensors: tensors, to: destination.path, overwrite: destination.overwrite,
            progress: destination.progress)
    }
}
