import OrderedJSON

/// What `AddTokens` did and checked; kept in the new file's lineage.
public struct AddTokensReport: Sendable {
    /// A row against the rows of its matrix.
    public struct RowReport: Sendable {
        public let norm: Float
        /// Share of the vocabulary's rows with a smaller norm, 0 to 1.
        public let quantile: Double
        /// Whether the norm lies between the vocabulary's 5 % and 95 % quantiles.
        public var isOrdinary: Bool { quantile >= 0.05 && quantile <= 0.95 }
    }

    public struct TokenReport: Sendable {
        public let content: String
        public let id: Int
        public let origin: TokenOrigin
        public let embedding: RowReport
        /// Nil where the head is tied to the embedding.
        public let head: RowReport?
        /// Encoded to one id and decoded to its text in every context; false only for tokens that were there before.
        public let encodes: Bool
    }

    /// The token that the new rows are copies of.
    public struct CopiedRow: Sendable {
        public let id: Int
        public let text: String
        /// How likely the model begins an answer with it; nil where the user named it.
        public let probability: Double?
    }

    /// Quantiles of the row norms of a matrix.
    public struct NormSummary: Sendable {
        public let tensor: String
        public let low: Float
        public let median: Float
        public let high: Float
    }

    public let tokens: [TokenReport]
    public let rowsBefore: Int
    public let rowsAfter: Int
    public let tokenizerSizeBefore: Int
    public let tokenizerSizeAfter: Int
    public let isTied: Bool
    public let initialization: String
    /// The token whose row was copied.
    public let source: CopiedRow?
    public let norms: [NormSummary]
    /// Whether optimizer moments were carried along.
    public let extendsOptimizer: Bool
    /// Tensors whose compressed chunks were copied, and tensors written anew.
    public let copiedTensorCount: Int
    public let writtenTensorCount: Int
    /// The control token that the chat template puts into the generation prompt, if any was found.
    public let templatePrefill: String?
    public let templateWasFixed: Bool
    public let endTokens: [String]
    public internal(set) var notes: [String]
    /// Digest of the new state; empty inside the lineage, which is part of that state's file.
    public internal(set) var digest = ""
    public internal(set) var fileByteCount = 0
    /// How far the model's answers moved; nil where that was not measured.
    public internal(set) var divergence: DivergenceReport?

    /// Rows beyond the tokenizer.
    public var paddingBefore: Int { max(rowsBefore - tokenizerSizeBefore, 0) }
    public var paddingAfter: Int { max(rowsAfter - tokenizerSizeAfter, 0) }

    /// The report as it stands in the lineage and in `--json`.
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
