import CheckpointIO
import OrderedJSON
import Tokenization

/// How two tokenizers differ.
public struct TokenizerComparison: Sendable {
    public struct ChangedToken: Sendable, Equatable {
        public let content: String
        public let idA: Int?
        public let idB: Int?
    }

    /// Highest id + 1; nil where there is no tokenizer, or where the two are identical and neither was read.
    public let sizeA: Int?
    public let sizeB: Int?
    /// Whether tokenizer.json has the same bytes.
    public let isIdentical: Bool
    /// Added tokens that only one side has, or that have another id.
    public let tokens: [ChangedToken]
    /// Parts of tokenizer.json other than the added tokens that differ (`normalizer`, `model`, …).
    public let parts: [String]
    /// Members of tokenizer_config.json that differ.
    public let config: [KeyDifference]
    /// `think`, `think_end`, `short` where their ids differ.
    public let controlTokens: [ChangedToken]
    /// B's tokenizer where it had to be read.
    let tokenizerB: Tokenizer?

    init(_ a: CheckpointFile, _ b: CheckpointFile) throws {
        let left = a.metadata.tokenizer
        let right = b.metadata.tokenizer
        config = KeyDifference.between(text: left?.config, right?.config)
        controlTokens = [
            ("think", left?.thinkID, right?.thinkID), ("think_end", left?.thinkEndID, right?.thinkEndID),
            ("short", left?.shortID, right?.shortID),
        ].filter { $0.1 != $0.2 }.map { ChangedToken(content: $0.0, idA: $0.1, idB: $0.2) }
        isIdentical = left?.json == right?.json
        guard !isIdentical else {
            sizeA = nil
            sizeB = nil
            tokens = []
            parts = []
            tokenizerB = nil
            return
        }
        // A large tokenizer takes the better part of a second to read.
        let ((tokenizerA, jsonA), (tokenizerB, jsonB)) = try bothConcurrently(
            { (try left.map { try Tokenizer(json: $0.json) }, left.flatMap { try? JSON.parse($0.json) }) },
            { (try right.map { try Tokenizer(json: $0.json) }, right.flatMap { try? JSON.parse($0.json) }) })
        self.tokenizerB = tokenizerB
        sizeA = tokenizerA?.vocabularySize
        sizeB = tokenizerB?.vocabularySize
        let idsA = Self.ids(tokenizerA)
        let idsB = Self.ids(tokenizerB)
        tokens = Set(idsA.keys).union(idsB.keys).filter { idsA[$0] != idsB[$0] }
            .map { ChangedToken(content: $0, idA: idsA[$0], idB: idsB[$0]) }
            .sorted { ($0.idB ?? $0.idA ?? 0, $0.content) < ($1.idB ?? $1.idA ?? 0, $1.content) }
        let keys = (jsonA?.object?.keys ?? []) + (jsonB?.object?.keys ?? []).filter { jsonA?[$0] == nil }
        parts = keys.filter { $0 != "added_tokens" && jsonA?[$0] != jsonB?[$0] }
    }

    private static func ids(_ tokenizer: Tokenizer?) -> [String: Int] {
        Dictionary(tokenizer?.addedTokens.map { ($0.content, $0.id) } ?? [], uniquingKeysWith: { first, _ in first })
    }

    public var isSame: Bool { isIdentical && config.isEmpty && controlTokens.isEmpty }
}
