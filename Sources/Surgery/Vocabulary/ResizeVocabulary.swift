import CheckpointIO
import OrderedJSON
import Tokenization

/// Pads a model's vocabulary to a multiple of a number, which some kernels need; it never shrinks.
public enum ResizeVocabulary {
    /// Writes a copy of a checkpoint with a padded vocabulary.
    ///
    /// New rows are the mean row: the logit of a zero row is 0, which may exceed those of real tokens and take their
    /// probability.
    ///
    /// - Parameters:
    ///   - input: the checkpoint to change.
    ///   - multiple: the new number of rows is a multiple of this.
    ///   - destination: where to write the result.
    /// - Returns: what was done.
    /// - Throws: `SurgeryError.badOption` if `multiple` is below 1 or more than twice the number of rows.
    public static func run(
        _ input: CheckpointFile, toMultipleOf multiple: Int, to destination: SurgeryDestination
    ) throws -> SurgeryResult {
        let tensors = try VocabularyTensors(input)
        let tokenizer = try input.metadata.tokenizer.map { try Tokenizer(json: $0.json) }
        let wanted = max(tensors.rows, tokenizer?.vocabularySize ?? 0)
        guard multiple >= 1, multiple <= 2 * wanted else {
            throw SurgeryError.badOption(
                name: "--pad-to-multiple-of",
                reason: "\(multiple) must lie between 1 and \(2 * wanted), twice the number of rows")
        }
        let rows = (wanted + multiple - 1) / multiple * multiple
        let used = min(tokenizer?.vocabularySize ?? tensors.rows, tensors.rows)
        var result = SurgeryOutput(
            "resize-vocab", arguments: ["pad_to_multiple_of": .integer(multiple)], of: input, to: destination,
            report: ["rows_before": .integer(tensors.rows), "rows_after": .integer(rows)])
        for tensor in input.allTensors {
            guard rows > tensors.rows, tensors.haveRows(of: tensor) else {
                result.copy(tensor, from: input)
                continue
            }
            let old = TensorRows(input, tensor)
            var added: [Int: [UInt8]] = [:]
            if tensor.group == .weights {
                let mean = try NewRows.stored(RowStatistics(RowSums(old), used: 0..<used).mean, as: old.description)
                for row in tensors.rows..<rows { added[row] = mean }
            }
            result.tensors.append(
                EditedRows(old: old, replacements: added, rowCount: rows).tensorToWrite(in: tensor.group))
        }
        if rows > tensors.rows, var config = try? JSON.parse(input.metadata.config) {
            config["vocab_size"] = .integer(rows)
            result.metadata.config = config.serialized(indent: 2)
        }
        return try result.write()
    }
}
