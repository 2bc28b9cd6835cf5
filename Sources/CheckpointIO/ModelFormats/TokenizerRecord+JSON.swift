import OrderedJSON

extension TokenizerRecord {
    /// Makes the record of a `tokenizer.json`; `path` is for errors.
    ///
    /// The control tokens are recognised only if `<think>`, `</think>` and `<short>` are all added tokens, as in a
    /// model exported after `add-tokens`. Other reasoning models have no `<short>`, and get their control tokens from
    /// `add-tokens`.
    ///
    /// - Throws: `ModelFormatError.malformed` if the text is not a tokenizer.
    init(json bytes: [UInt8], config: String?, path: String) throws {
        let tokenizer = try TextFile.object(bytes, path: path)
        guard tokenizer["model"]?.object != nil else {
            throw ModelFormatError.malformed(path: path, place: "model", reason: "is missing or not an object")
        }
        var records: [AddedTokenRecord] = []
        var idOfContent: [String: Int] = [:]
        for (index, entry) in (tokenizer["added_tokens"]?.array ?? []).enumerated() {
            guard let id = entry["id"]?.int, id >= 0, id < Self.maximumTokenCount,
                let content = entry["content"]?.string
            else {
                throw ModelFormatError.malformed(
                    path: path, place: "added_tokens[\(index)]", reason: "has no id in range or no content")
            }
            records.append(
                AddedTokenRecord(id: id, content: content, special: entry["special"]?.bool ?? false, trained: true))
            idOfContent[content] = id
        }
        self.init(json: bytes, config: config, addedTokens: records)
        if let think = idOfContent["<think>"], let end = idOfContent["</think>"], let short = idOfContent["<short>"] {
            thinkID = think
            thinkEndID = end
            shortID = short
        }
    }

    /// The bytes of the `tokenizer.json` at a path.
    ///
    /// - Throws: `ModelFormatError`, also if the file is larger than a tokenizer may be.
    package static func json(path: String) throws -> [UInt8] {
        guard let bytes = try TextFile.bytes(path, maximumByteCount: TextFile.maximumTokenizerByteCount) else {
            throw ModelFormatError.cannotRead(path: path, reason: "no such file or directory")
        }
        return bytes
    }

    /// More tokens than any vocabulary has; higher ids are refused before memory is allocated for them.
    static let maximumTokenCount = 1 << 24

    /// One more than the highest id in a parsed `tokenizer.json`, at most `maximumTokenCount`.
    static func tokenCount(_ tokenizer: JSON) -> Int {
        var highest = -1
        for (_, id) in tokenizer["model"]?["vocab"]?.object ?? JSONObject() { highest = max(highest, id.int ?? -1) }
        // A Unigram model lists its tokens by id.
        highest = max(highest, (tokenizer["model"]?["vocab"]?.array?.count ?? 0) - 1)
        for entry in tokenizer["added_tokens"]?.array ?? [] { highest = max(highest, entry["id"]?.int ?? -1) }
        return min(highest, maximumTokenCount - 1) + 1
    }
}
