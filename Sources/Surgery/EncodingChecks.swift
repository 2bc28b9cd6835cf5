import Tokenization

/// Whether a token comes back as its one id, and as its own text, wherever it may stand.
struct EncodingChecks {
    /// Where a token was looked at: inside a sentence, after a space, after a line break, doubled.
    static func contexts(of token: String) -> [(name: String, text: String, count: Int)] {
        [
            ("sentence", "so\(token)the answer is 4.", 1), ("space", "Well, \(token) then", 1),
            ("newline", "Yes.\n\(token)\nNo.", 1), ("doubled", token + token, 2),
        ]
    }

    /// - Returns: the first failure as (context, reason), or nil where all is well.
    static func failure(of token: String, id: Int, in tokenizer: Tokenizer) -> (context: String, reason: String)? {
        guard tokenizer.encode(token) == [id] else {
            return (token, "encodes to \(tokenizer.encode(token)), not to the one id \(id)")
        }
        for (_, text, count) in contexts(of: token) {
            let ids = tokenizer.encode(text)
            let found = ids.count { $0 == id }
            guard found == count else { return (text, "id \(id) comes \(found) times where \(count) was wanted") }
            // Some tokenizers do not give plain text back exactly either; the token must not make that worse.
            let plain = text.replacing(token, with: "")
            guard tokenizer.decode(tokenizer.encode(plain)) == plain else { continue }
            let decoded = tokenizer.decode(ids)
            guard decoded == text else { return (text, "decodes to \(quoted(decoded))") }
            let shown = tokenizer.decode(ids, skippingSpecialTokens: true)
            guard shown == text else { return (text, "is lost when special tokens are skipped: \(quoted(shown))") }
        }
        return nil
    }
}
