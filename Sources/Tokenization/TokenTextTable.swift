import OrderedJSON

/// The text of each id of a `tokenizer.json`, read without its merges.
///
/// For a vocabulary of 128k tokens this takes a tenth of the time that `Tokenizer` needs.
package struct TokenTextTable: Sendable {
    /// Sorted by id.
    package let addedTokens: [AddedToken]
    /// The highest id + 1.
    package let vocabularySize: Int
    private let tokens: [String?]
    private let decoders: [TokenDecoder]

    /// Reads the members of a `tokenizer.json`; a model without a vocabulary yields no texts.
    ///
    /// - Throws: `TokenizerError`.
    package init(_ json: JSONMembers) throws {
        do {
            addedTokens = try Tokenizer.Storage.readAddedTokens(json.value("added_tokens")?.array ?? [])
                .sorted { $0.id < $1.id }
            let decoder = try json.value("decoder") ?? .null
            decoders = decoder.isNull ? [] : try TokenDecoder.read(decoder, at: "decoder")
            let vocabulary = try json["model"].map { try JSONMembers($0).value("vocab") } ?? nil
            var tokens: [String?] = []
            tokens.reserveCapacity(vocabulary?.object?.count ?? 0)
            for (token, value) in vocabulary?.object ?? JSONObject() {
                let id = try VocabularyReader.id(of: token, value)
                if id >= tokens.count { tokens += repeatElement(nil, count: id + 1 - tokens.count) }
                tokens[id] = token
            }
            // A Unigram model lists its tokens with their scores.
            if let pieces = vocabulary?.array {
                tokens = pieces.prefix(VocabularyReader.ids.count).map { $0.array?.first?.string }
            }
            for added in addedTokens where tokens.indices.contains(added.id) { tokens[added.id] = nil }
            self.tokens = tokens
            vocabularySize = max(tokens.count, (addedTokens.last?.id ?? -1) + 1)
        } catch let error as JSONError {
            throw TokenizerError.notJSON(reason: "\(error)")
        }
    }

    /// The text of one token, or nil for an unused id.
    package func text(of id: Int) -> String? {
        if let token = tokens.indices.contains(id) ? tokens[id] : nil {
            return TokenDecoder.text(of: token, decoders)
        }
        return addedTokens.first { $0.id == id }?.content
    }
}
