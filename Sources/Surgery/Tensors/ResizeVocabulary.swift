import CheckpointIO
import OrderedJSON
import Tokenization

/// Pads a model's vocabulary to a multiple of a number, for kernels that want one; it never shrinks.
public enum ResizeVocabulary {
    /// Rows that no token uses are mean rows: a row of zeros has logit 0, which can lie far above those of real tokens
    /// and take the probability away from them.
    ///
    /// - Throws: `SurgeryError.badOption` for a multiple under 1 or so large that the matrix would more than double.
    public static func run(
        _ input: CheckpointFile, toMultipleOf multiple: Int, output: String, overwrite: Bool, tool: String,
        progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> SurgeryResult {
        let tensors = try VocabularyTensors(input)
        let tokenizer = try input.metadata.tokenizer.map { try Tokenizer(json: $0.json) }
        let wanted = max(tensors.rows, tokenizer?.vocabularySize ?? 0)
        guard multiple >= 1, multiple <= 2 * wanted else {
            throw SurgeryError.badOption(
                name: "--pad-to-multiple-of",
                reason: "\(multiple) is not between 1 and twice the \(wanted) rows there are")
        }
        let rows = (wanted + multiple - 1) / multiple * multiple
        let used = min(tokenizer?.vocabularySize ?? tensors.rows, tensors.rows)
        var result = SurgeryOutput(
            "resize-vocab", arguments: ["pad_to_multiple_of": .integer(multiple)], of: input, tool: tool,
            report: ["rows_before": .integer(tensors.rows), "rows_after": .integer(rows)])
        for group in allTensorGroups {
            for tensor in input.tensors(in: group) {
                guard rows > tensors.rows,
                    tensors.all.contains(where: { $0.description.name == tensor.description.name })
                else {
                    result.copy(tensor, from: input, in: group)
                    continue
                }
                let old = TensorRows(input, tensor)
                var added: [Int: [UInt8]] = [:]
                if group == .weights {
                    let mean = try NewRows.stored(
                        VocabularyRows(RowSums(old), used: 0..<used).mean, as: old.description)
                    for row in tensors.rows..<rows { added[row] = mean }
                }
                result.tensors.append(
                    EditedRows(old: old, replacements: added, rowCount: rows).tensorToWrite(in: group))
            }
        }
        if rows > tensors.rows, var config = try? JSON.parse(input.metadata.config) {
            config["vocab_size"] = .integer(rows)
            result.metadata.config = config.serialized(indent: 2)
        }
        return try result.write(to: output, overwrite: overwrite, progress: progress)
    }
}
