import CheckpointIO
import Synchronization

/// Adds tokens to a model: tokenizer, matrix rows, optimizer moments, configuration and chat template in one step.
///
/// Everything is checked before anything is written. The matrix never shrinks, unused rows are taken before it grows,
/// and tensors without a vocabulary dimension are copied as compressed chunks.
public enum AddTokens {
    /// Writes a copy of a checkpoint with additional tokens.
    ///
    /// - Parameters:
    ///   - input: the checkpoint to start from.
    ///   - options: the tokens and how to initialize their rows.
    ///   - destination: where to write the result.
    /// - Returns: what was done, as recorded in the new file's lineage.
    /// - Throws: `SurgeryError`, or an error of reading, tokenizing or writing; no output exists then.
    public static func run(
        _ input: CheckpointFile, _ options: AddTokensOptions, to destination: SurgeryDestination
    ) throws -> AddTokensReport {
        let tensors = try VocabularyTensors(input)
        let copies = input.allTensors.filter { !tensors.haveRows(of: $0) }
        let vocabulary = input.allTensors.filter { tensors.haveRows(of: $0) }
        let made = Mutex<AddTokensReport?>(nil)
        // Copying is bound by the disk, so the edit is computed meanwhile.
        let written = try CheckpointWriter.write(
            copying: copies.map { TensorToWrite(copying: $0, of: input) }, to: destination.path,
            overwrite: destination.overwrite, progress: destination.progress,
            while: {
                let edit = try AddTokensEdit(input, options, tensors)
                let toWrite = try edit.tensorsToWrite(vocabulary)
                let report = try edit.report(on: vocabulary, copyCount: copies.count)
                made.withLock { $0 = report }
                return (edit.metadata(report: report, tool: destination.tool), toWrite)
            })
        guard var report = made.withLock({ $0 }) else { preconditionFailure("written without a report") }
        report.digest = written.digest
        report.fileByteCount = written.fileByteCount
        return report
    }
}
