import Tokenization

/// Checks that a token encodes to its one id and decodes to its text in several contexts.
enum TokenRoundTrip {
    /// Inside a sentence, after a space, after a line break, doubled; each with the number of occurrences.
    private static func contexts(of token: String) -> [(text: String, count: Int)] {
        [
            ("so\(token)the answer is 4.", 1), ("Well, \(token) then", 1), ("Yes.\n\(token)\nNo.", 1),
            (token + token, 2),
        ]
    }

    /// The first context in which the token fails and the reason, or nil.
    static func failure(of token: String, id: Int, in tokenizer: Tokenizer) -> (context: String, reason: String)? {
        guard tokenizer.encode(token) == [id] else {
            return (token, "encodes to \(tokenizer.encode(token)), not to the one id \(id)")
        }
        for (text, count) in contexts(of: token) {
            let ids = tokenizer.encode(text)
            let found = ids.count { $0 == id }
            guard found == count else { return (text, "contains id \(id) \(found)× instead of \(count)×") }
            // If the tokenizer does not even round-trip the text without the token, the token is not at fault.
            let plain = text.replacing(token, with: "")
            guard tokenizer.decode(tokenizer.encode(plain)) == plain else { continue }
            let wanted = [text, spaced(text, after: token)]
            let decoded = tokenizer.decode(ids)
            guard wanted.contains(decoded) else { return (text, "decodes to \(quoted(decoded))") }
            let shown = tokenizer.decode(ids, skippingSpecialTokens: true)
            guard wanted.contains(shown) else {
                return (text, "is lost when special tokens are skipped: \(quoted(shown))")
            }
        }
        return nil
    }

    /// The text with a space after each token, unless another follows.
    ///
    /// SentencePiece's tokenizers put a space before the text after every added token (`Prepend`, or `Metaspace` with
    /// the scheme `always`), and decode it.
    private static func spaced(_ text: String, after token: String) -> String {
        let parts = text.split(separator: token, omittingEmptySubsequences: false)
        return parts.dropFirst().reduce(parts.first.map(String.init) ?? "") { result, part in
            result + token + (part.isEmpty ? "" : " ") + part
        }
    }
}
