import OrderedJSON

/// What `AddTokens` did and checked, as recorded in the new file's lineage.
public struct AddTokensReport: Sendable {
    /// A row compared with the other rows of its matrix.
    package struct RowReport: Sendable {
        package let norm: Float
        /// The share of used rows with a smaller norm, 0 to 1.
        package let quantile: Double
    }

    package struct TokenReport: Sendable {
        package let content: String
        package let id: Int
        package let origin: TokenOrigin
        package let embedding: RowReport
        /// nil if the head is tied to the embedding.
        package let head: RowReport?
        /// Whether the token encodes to one id and decodes to its text; false only for tokens that already existed.
        package let encodes: Bool
    }

    /// The token whose row the new rows copy.
    package struct CopiedRow: Sendable {
        package let id: Int
        package let text: String
        /// The probability that an answer starts with it; nil if the user named the token.
        package let probability: Double?
    }

    /// The 5 %, 50 % and 95 % quantiles of a matrix's row norms.
    package struct NormSummary: Sendable {
        package let tensor: String
        package let low: Float
        package let median: Float
        package let high: Float
    }

    package let tokens: [TokenReport]
    package let rowsBefore: Int
    package let rowsAfter: Int
    package let tokenizerSizeBefore: Int
    package let tokenizerSizeAfter: Int
    package let isTied: Bool
    package let initialization: String
    package let source: CopiedRow?
    /// The new tokens whose rows are not copies, if others are.
    package let uncopied: [String]
    package let norms: [NormSummary]
    /// Whether optimizer moments were extended, too.
    package let extendsOptimizer: Bool
    /// Tensors copied as compressed chunks.
    package let copiedTensorCount: Int
    /// Tensors written with new content.
    package let writtenTensorCount: Int
    /// The control token at the end of the chat template's generation prompt, if any.
    package let templatePrefill: String?
    package let templateWasFixed: Bool
    /// The tokens that end a generation.
    package let endTokens: [String]
    /// Warnings for the user.
    public internal(set) var notes: [String]
    /// The digest of the new checkpoint; empty in the lineage, which precedes the digest.
    public internal(set) var digest = ""
    /// The size of the new file.
    public internal(set) var fileByteCount = 0
    /// How far the model's answers moved; nil if not measured.
    package internal(set) var divergence: DivergenceReport?

    /// Rows without a token.
    package var paddingBefore: Int { max(rowsBefore - tokenizerSizeBefore, 0) }
    package var paddingAfter: Int { max(rowsAfter - tokenizerSizeAfter, 0) }

    /// The report as recorded in the lineage and printed by `--json`.
    public var json: JSON {
        var json: JSON = [
            "rows_before": .integer(rowsBefore), "rows_after": .integer(rowsAfter),
            "tokenizer_size_before": .integer(tokenizerSizeBefore),
            "tokenizer_size_after": .integer(tokenizerSizeAfter),
            "padding_before": .integer(paddingBefore), "padding_after": .integer(paddingAfter),
            "tied_head": .bool(isTied), "initialization": .string(initialization),
            "optimizer_extended": .bool(extendsOptimizer),
            "tensors_copied": .integer(copiedTensorCount), "tensors_written": .integer(writtenTensorCount),
            "template_prefill": templatePrefill.map { .string($0) } ?? .null,
            "template_fixed": .bool(templateWasFixed), "end_tokens": .array(endTokens.map { .string($0) }),
            "tokens": .array(tokens.map(Self.json)), "notes": .array(notes.map { .string($0) }),
            "row_norms": .array(
                norms.map {
                    [
                        "tensor": .string($0.tensor), "quantile_05": .double(Double($0.low)),
                        "median": .double(Double($0.median)), "quantile_95": .double(Double($0.high)),
                    ]
                }),
        ]
        if let source {
            json["source"] = [
                "id": .integer(source.id), "token": .string(source.text),
                "probability": source.probability.map { .double($0) } ?? .null,
            ]
        }
        if let divergence { json["divergence"] = divergence.json }
        if !digest.isEmpty { json["digest"] = .string(digest) }
        return json
    }

    private static func json(_ token: TokenReport) -> JSON {
        var json: JSON = [
            "token": .string(token.content), "id": .integer(token.id), "origin": .string(token.origin.rawValue),
            "encodes_to_one_id": .bool(token.encodes), "embedding_norm": .double(Double(token.embedding.norm)),
            "embedding_norm_quantile": .double(token.embedding.quantile),
        ]
        if let head = token.head {
            json["head_norm"] = .double(Double(head.norm))
            json["head_norm_quantile"] = .double(head.quantile)
        }
        return json
    }
}
