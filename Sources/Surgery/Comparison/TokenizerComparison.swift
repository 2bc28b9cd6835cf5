import CheckpointIO
import OrderedJSON
import Parallel
import Tokenization

/// How two tokenizers differ.
package struct TokenizerComparison: Sendable {
    package struct ChangedToken: Sendable, Equatable {
        package let content: String
        package let idA: Int?
        package let idB: Int?
    }

    /// A's highest id + 1; nil without a tokenizer, or if the files are identical and were not read.
    package let sizeA: Int?
    /// B's highest id + 1; nil without a tokenizer, or if the files are identical and were not read.
    package let sizeB: Int?
    /// Whether tokenizer.json has the same bytes on both sides.
    package let isIdentical: Bool
    /// Added tokens that exist on one side only or have different ids.
    package let tokens: [ChangedToken]
    /// Other members of tokenizer.json that differ (`normalizer`, `model`, …).
    package let parts: [String]
    /// Members of tokenizer_config.json that differ.
    package let config: [KeyDifference]
    /// Which of `think`, `think_end` and `short` have different ids.
    package let controlTokens: [ChangedToken]
    /// B's tokens, if they were read.
    let textsB: TokenTextTable?

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

    private static func read(_ tokenizer: TokenizerRecord?) throws -> (TokenTextTable?, JSONMembers?) {
        guard let tokenizer else { return (nil, nil) }
        do {
            let members = try JSONMembers(tokenizer.json[...])
            return (try TokenTextTable(members), members)
        } catch let error as JSONError {
            throw TokenizerError.notJSON(reason: "\(error)")
        }
    }

    private static func ids(_ texts: TokenTextTable?) -> [String: Int] {
        Dictionary(texts?.addedTokens.map { ($0.content, $0.id) } ?? [], uniquingKeysWith: { first, _ in first })
    }

    package var isSame: Bool { isIdentical && config.isEmpty && controlTokens.isEmpty }
}
