/// The result of writing a delta.
public struct WrittenDelta: Sendable, Equatable {
    /// The digest of the state that the delta stands for.
    public var digest: String
    /// The digest by which the delta recognises its base.
    public var baseDigest: String
    /// Bytes of all tensors of the state.
    public var logicalByteCount: Int
    /// The size of the file.
    public var fileByteCount: Int
    /// Tensors of the state.
    public var tensorCount: Int
    /// Tensors that are stored as differences.
    public var changedTensorCount: Int
    /// Tensors that are stored whole.
    public var wholeTensorCount: Int
    /// Elements of the state.
    public var elementCount: Int
    /// Elements that differ, of the tensors that are stored as differences.
    public var changedElementCount: Int
}

/// Writes deltas: files with what a state does not have in common with another.
public enum DeltaWriter {
    /// Writes a delta atomically; reading it on `base` gives the state bit for bit.
    ///
    /// Tensors with a counterpart of the same name, type and shape are stored as differences, unless a sample of their
    /// group shows that this takes more bytes than their values; others are stored whole.
    ///
    /// - Parameters:
    ///   - metadata: Everything in the state except the tensors.
    ///   - tensors: The tensors of the state.
    ///   - base: The state that the delta is applied to, which may be a delta itself.
    ///   - path: The file to be written.
    ///   - overwrite: Whether an existing file is replaced.
    ///   - progress: Called with the bytes of changed tensors done so far, from several threads.
    /// - Returns: Digests, sizes, and how much changed.
    /// - Throws: `CheckpointError`, or an error of a tensor's content; the temporary file is removed.
    public static func write(
        _ metadata: CheckpointMetadata, tensors: [TensorToWrite], since base: CheckpointFile, to path: String,
        overwrite: Bool, progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> WrittenDelta {
        guard metadata.adaptedWeights.isEmpty else {
            throw CheckpointError.invalid(
                name: path, problem: "the state keeps only an adapter, which is small already; keep it as it is")
        }
        guard base.chainLength < DeltaRecord.longestChain else {
            throw CheckpointError.invalid(
                name: base.path,
                problem:
                    "comes after \(base.chainLength) deltas, the most there may be; make it whole with `ckpt apply`")
        }
        let content = try CheckpointWriter.Content(metadata, tensors)
        let old = try RecordWriter(base.metadata)
        let file = try AtomicFile(path, overwrite: overwrite)
        do {
            let plan = try DeltaPlan(tensors, since: base)
            let output = try HDF5Output(creating: file.temporaryPath, reportedAs: path)
            let (differences, changed) = try DifferenceEncoder(output, plan, since: base, progress).encode()
            let whole = try TensorEncoder(output, plan.whole, nil).encode()
            var delta = DeltaRecord(
                kind: metadata.kind, baseDigest: plan.needsWholeBase ? base.digest : base.weightsDigest,
                needsWholeBase: plan.needsWholeBase, basePath: base.path, metadataDigest: "",
                tensors: plan.table(changed: changed), removed: plan.removed, kept: [], continued: [])
            let records = try RecordWriter(content.records, since: old, &delta)
            try CheckpointWriter.finish(
                output, records, try records.records.map { try $0.frames() }, Array(zip(plan.whole, whole)),
                digest: plan.digest, others: differences)
            let size = try file.byteCount()
            try file.commit()
            return WrittenDelta(
                digest: plan.digest, baseDigest: delta.baseDigest, logicalByteCount: plan.logicalByteCount,
                fileByteCount: size, tensorCount: tensors.count, changedTensorCount: plan.entries.count,
                wholeTensorCount: plan.whole.count,
                elementCount: tensors.reduce(0) { $0 + $1.description.elementCount },
                changedElementCount: changed.reduce(0, +))
        } catch {
            file.discard()
            throw error
        }
    }
}
