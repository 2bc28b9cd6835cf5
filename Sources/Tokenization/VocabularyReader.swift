import OrderedJSON

/// Reads `model.vocab` and `model.merges`.
struct VocabularyReader {
    /// Texts as written, by id; nil for unused ids.
    let tokens: [String?]
    /// Ids by the text as written.
    let ids: TokenTable
    /// Ids by the bytes that pre-tokens consist of.
    let table: TokenTable

    /// The ids that are accepted; no tokenizer has more, and the bound limits memory.
    static let ids = 0..<(1 << 21)

    init(_ vocabulary: JSONObject, isByteLevel: Bool) throws {
        var tokens: [String?] = []
        var ids = TokenTable(capacity: vocabulary.count)
        var table = TokenTable(capacity: vocabulary.count)
        for (token, value) in vocabulary {
            let id = try Self.id(of: token, value)
            if id >= tokens.count {
                tokens.append(contentsOf: repeatElement(nil, count: id + 1 - tokens.count))
            }
            if let other = tokens[id] {
                throw TokenizerError.malformed(
                    place: "model.vocab",
                    reason: "\"\(other.prefix(60))\" and \"\(token.prefix(60))\" have the same id \(id)")
            }
            tokens[id] = token
            _ = ids.insert(Array(token.utf8), id: UInt32(id))
            if !isByteLevel {
                _ = table.insert(Array(token.utf8), id: UInt32(id))
            } else if let bytes = ByteLevelAlphabet.bytes(of: token) {
                _ = table.insert(bytes, id: UInt32(id))
            }
        }
        self.tokens = tokens
        self.ids = ids
        self.table = table
    }

    /// The value of a token in `model.vocab` as an id.
    static func id(of token: String, _ value: JSON) throws -> Int {
        guard let id = value.int, ids.contains(id) else {
            throw TokenizerError.malformed(
                place: "model.vocab", reason: "the id of \"\(token.prefix(60))\" is not an integer between 0 and 2^21")
        }
        return id
    }

    /// Reads merges, `"left right"` or `["left", "right"]`, in order of rank.
    func readMerges(_ merges: [JSON]) throws -> (pairs: PairTable, mergedIDs: [UInt32]) {
        var pairs = PairTable(capacity: merges.count)
        var mergedIDs: [UInt32] = []
        mergedIDs.reserveCapacity(merges.count)
        for (index, merge) in merges.enumerated() {
            var left: [UInt8]
            let right: [UInt8]
            if let text = merge.string {
                if text.hasPrefix("#version") { continue }
                let parts = text.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
                guard parts.count == 2 else { throw malformed(index, "is not two tokens separated by a space") }
                (left, right) = (Array(parts[0]), Array(parts[1]))
            } else if let pair = merge.array, pair.count == 2, let first = pair[0].string, let second = pair[1].string {
                (left, right) = (Array(first.utf8), Array(second.utf8))
            } else {
                throw malformed(index, "is neither a string nor a pair of strings")
            }
            guard let leftID = ids.id(of: left), let rightID = ids.id(of: right) else {
                throw malformed(index, "joins a token that is not in the vocabulary")
            }
            left.append(contentsOf: right)
            guard let merged = ids.id(of: left) else {
                throw malformed(index, "makes a token that is not in the vocabulary")
            }
            pairs.insert(leftID, rightID, rank: UInt32(mergedIDs.count))
            mergedIDs.append(merged)
        }
        return (pairs, mergedIDs)
    }

    private func malformed(_ index: Int, _ reason: String) -> TokenizerError {
        .malformed(place: "model.merges[\(index)]", reason: reason)
    }
}
