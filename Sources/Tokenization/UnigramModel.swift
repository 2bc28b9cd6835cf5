import OrderedJSON

/// SentencePiece's Unigram model: of all divisions of a text into tokens, the one with the highest sum of scores.
///
/// Kudo, "Subword Regularization" (2018); sums and ties are resolved as in the `tokenizers` library.
struct UnigramModel: Sendable {
    /// Texts of the vocabulary as written in the file, by id.
    let tokens: [String?]
    private let scores: [Double]
    /// Ids by text.
    private let trie: ByteTrie
    private let ids: TokenTable
    private let unknownID: UInt32
    /// The score of a character that is not in the vocabulary.
    private let unknownScore: Double
    /// Ids of `<0x00>` to `<0xFF>` if the model falls back to bytes.
    private let fallbackIDs: [UInt32?]
    private let boundaries: MarkBoundaries?

    /// How far the score of an unknown character is below the lowest score.
    private static let unknownPenalty = 10.0
    /// The longest token in bytes, which bounds the work per byte of text.
    static let maximumTokenLength = 4096

    /// Reads the `model` of a `tokenizer.json`.
    ///
    /// - Throws: `TokenizerError` if the model is malformed or unsupported.
    init(_ json: JSON) throws {
        var reader = try StrictObjectReader(json, at: "model")
        reader.ignore("type")
        let pieces = try reader.array("vocab")
        let unknown = reader.optional("unk_id")
        let fallsBack = try reader.bool("byte_fallback", default: false)
        try reader.finish()
        guard let unknown else { throw reader.unsupported("a Unigram model without unk_id") }
        guard let unknownID = unknown.int, pieces.indices.contains(unknownID) else {
            throw TokenizerError.malformed(place: "model.unk_id", reason: "is not an id of the vocabulary")
        }
        self.unknownID = UInt32(unknownID)

        guard pieces.count <= VocabularyReader.ids.count else {
            throw TokenizerError.malformed(place: "model.vocab", reason: "has more than 2^21 tokens")
        }
        var tokens: [String?] = []
        var scores: [Double] = []
        var trie = ByteTrie(capacity: pieces.reduce(0) { $0 + ($1.array?.first?.string?.utf8.count ?? 0) })
        var ids = TokenTable(capacity: pieces.count)
        for (id, piece) in pieces.enumerated() {
            guard let pair = piece.array, pair.count == 2, let text = pair[0].string, let score = pair[1].double,
                score.isFinite, (1...Self.maximumTokenLength).contains(text.utf8.count)
            else {
                throw TokenizerError.malformed(
                    place: "model.vocab[\(id)]", reason: "is not a token of 1 to 4096 bytes with a finite score")
            }
            if ids.insert(Array(text.utf8), id: UInt32(id)) != nil {
                throw TokenizerError.malformed(
                    place: "model.vocab[\(id)]", reason: "\"\(text.prefix(60))\" is given twice")
            }
            trie.insert(text.utf8, value: Int32(id))
            tokens.append(text)
            scores.append(score)
        }
        self.tokens = tokens
        self.scores = scores
        self.trie = trie
        self.ids = ids
        unknownScore = (scores.min() ?? 0) - Self.unknownPenalty
        fallbackIDs = ByteFallback.ids(in: ids, enabled: fallsBack)
        boundaries = MarkBoundaries(tokens, ids: ids, unknownID: UInt32(unknownID))
    }

    /// Buffers of `encode`, reused across pre-tokens.
    struct Scratch {
        /// For each position, the best sum of scores of a division that ends there.
        fileprivate var best: [Double] = []
        /// Where the last token of that division starts, or -1, and its id.
        fileprivate var starts: [Int32] = []
        fileprivate var ids: [UInt32] = []
        fileprivate var path: [(range: Range<Int>, id: UInt32)] = []
    }

    /// Appends the ids of one pre-token, in time proportional to its length times that of the longest token.
    ///
    /// - Parameters:
    ///   - preToken: valid UTF-8.
    ///   - banned: ids that must not be produced, whatever the text; nil for none.
    ///   - scratch: buffers reused across calls.
    ///   - output: receives the ids.
    func encode(
        _ preToken: UnsafeBufferPointer<UInt8>, banned: [Bool]?, _ scratch: inout Scratch, into output: inout [Int]
    ) {
        var start = 0
        var sum = 0.0
        while start < preToken.count {
            // Every division has a boundary at the end of this part, so the best one consists of the parts' best. The
            // sum goes on, because rounding decides between equally good ones.
            let end = boundaries?.end(of: preToken, from: start) ?? preToken.count
            let part = UnsafeBufferPointer(rebasing: preToken[start..<end])
            sum = divide(part, from: sum, banned, &scratch)
            appendPath(part, banned, &scratch, into: &output)
            start = end
        }
    }

    /// Finds the best division of a text.
    private func divide(
        _ text: UnsafeBufferPointer<UInt8>, from sum: Double, _ banned: [Bool]?, _ scratch: inout Scratch
    ) -> Double {
        scratch.starts.removeAll(keepingCapacity: true)
        scratch.starts.append(contentsOf: repeatElement(-1, count: text.count + 1))
        if scratch.best.count <= text.count {
            scratch.best = [Double](repeating: 0, count: text.count + 1)
            scratch.ids = [UInt32](repeating: 0, count: text.count + 1)
        }
        scratch.best[0] = sum
        var position = 0
        while position < text.count {
            let here = scratch.best[position]
            let characterEnd = min(position + UTF8Scan.length(ofLead: text[position]), text.count)
            var hasCharacter = false
            var node = ByteTrie.root
            var end = position
            while end < text.count, let child = trie.child(of: node, text[end]) {
                node = child
                end += 1
                let id = trie.value(at: node)
                guard id >= 0, !(banned?[Int(id)] ?? false) else { continue }
                offer(here + scores[Int(id)], UInt32(id), from: position, to: end, &scratch)
                if end == characterEnd { hasCharacter = true }
            }
            if !hasCharacter { offer(here + unknownScore, unknownID, from: position, to: characterEnd, &scratch) }
            position = characterEnd
        }
        return scratch.best[text.count]
    }

    @inline(__always)
    private func offer(_ sum: Double, _ id: UInt32, from start: Int, to end: Int, _ scratch: inout Scratch) {
        guard scratch.starts[end] < 0 || sum > scratch.best[end] else { return }
        scratch.best[end] = sum
        scratch.starts[end] = Int32(truncatingIfNeeded: start)
        scratch.ids[end] = id
    }

    /// Appends the ids of the division; a run of unknown characters becomes bytes or one unknown token.
    private func appendPath(
        _ text: UnsafeBufferPointer<UInt8>, _ banned: [Bool]?, _ scratch: inout Scratch, into output: inout [Int]
    ) {
        scratch.path.removeAll(keepingCapacity: true)
        var end = text.count
        while end > 0 {
            let start = Int(scratch.starts[end])
            scratch.path.append((start..<end, scratch.ids[end]))
            end = start
        }
        var unknown: Range<Int>?
        for (range, id) in scratch.path.reversed() {
            if id == unknownID {
                unknown = (unknown?.lowerBound ?? range.lowerBound)..<range.upperBound
                continue
            }
            if let run = unknown { appendUnknown(UnsafeBufferPointer(rebasing: text[run]), banned, into: &output) }
            unknown = nil
            output.append(Int(id))
        }
        if let run = unknown { appendUnknown(UnsafeBufferPointer(rebasing: text[run]), banned, into: &output) }
    }

    private func appendUnknown(_ text: UnsafeBufferPointer<UInt8>, _ banned: [Bool]?, into output: inout [Int]) {
        if let id = ids.id(of: text), !(banned?[Int(id)] ?? false) { return output.append(Int(id)) }
        let bytes = text.compactMap { fallbackIDs[Int($0)] }
        if bytes.count == text.count {
            output += bytes.map(Int.init)
        } else {
            output.append(Int(unknownID))
        }
    }
}
