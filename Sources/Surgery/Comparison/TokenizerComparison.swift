import CheckpointIO
import OrderedJSON
import Parallel
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
    /// B's tokens where they had to be read.
    let textsB: TokenTexts?

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
            textsB = nil
            return
        }
        let ((textsA, membersA), (textsB, membersB)) = try ParallelWork.both(
            { try Self.read(left) }, { try Self.read(right) })
        self.textsB = textsB
        sizeA = textsA?.vocabularySize
        sizeB = textsB?.vocabularySize
        let idsA = Self.ids(textsA)
        let idsB = Self.ids(textsB)
        let changed = Set(idsA.keys).union(idsB.keys).filter { idsA[$0] != idsB[$0] }
        tokens = changed.map { ChangedToken(content: $0, idA: idsA[$0], idB: idsB[$0]) }
            .sorted { ($0.idB ?? $0.idA ?? 0, $0.content) < ($1.idB ?? $1.idA ?? 0, $1.content) }
        let keys = (membersA?.keys ?? []) + (membersB?.keys ?? []).filter { membersA?[$0] == nil }
        parts = try keys.filter { key in
            guard key != "added_tokens", membersA?[key] != membersB?[key] else { return false }
            return try membersA?.value(key) != membersB?.value(key)
        }
    }

    private static func read(_ tokenizer: TokenizerRecord?) throws -> (TokenTexts?, JSONMembers?) {
        guard let tokenizer else { return (nil, nil) }
        do {
            let members = try JSONMembers(tokenizer.json[...])
            return (try TokenTexts(members), members)
        } catch let error as JSONError {
            throw TokenizerError.notJSON(reason: "\(error)")
        }
    }

    private static func ids(_ texts: TokenTexts?) -> [String: Int] {
        Dictionary(texts?.addedTokens.map { ($0.content, $0.id) } ?? [], uniquingKeysWith: { first, _ in first })
    }

    public var isSame: Bool { isIdentical && config.isEmpty && controlTokens.isEmpty }
}
