/// The merges of a BPE model whose file has only scores.
///
/// SentencePiece merges the two neighbours whose joint piece has the highest score. `tokenizer.json` lists the pairs in
/// this order instead: by score, then by id, which is the order of training where all scores are the same.
struct PieceMerges {
    private(set) var pairs: [(left: String, right: String)] = []

    /// Finds every division of a normal piece into two normal pieces.
    init(_ vocabulary: SentencePieceVocabulary) throws {
        let pieces = vocabulary.pieces
        var ids: [ArraySlice<UInt8>: Int] = [:]
        ids.reserveCapacity(pieces.count)
        let texts = pieces.map { Array($0.text.utf8)[...] }
        for (id, piece) in pieces.enumerated() where piece.type == .normal { ids[texts[id]] = id }
        var found: [(score: Float, id: Int, split: Int)] = []
        // Real vocabularies have about two merges a piece; the bounds limit the time and memory of a crafted one.
        let limit = 16 * pieces.count + 4096
        guard texts.reduce(0, { $0 + $1.count * $1.count }) < 1 << 31 else {
            throw vocabulary.malformed("pieces", "are too long to find their merges")
        }
        for (id, piece) in pieces.enumerated() where piece.type == .normal {
            let text = texts[id]
            for split in 1..<max(1, text.count) where text[split] & 0xC0 != 0x80 {
                guard ids[text[..<split]] != nil, ids[text[split...]] != nil else { continue }
                found.append((piece.score, id, split))
            }
            guard found.count <= limit else {
                throw vocabulary.malformed("pieces", "can be joined in more than \(limit) ways")
            }
        }
        found.sort { ($1.score, $0.id, $0.split) < ($0.score, $1.id, $1.split) }
        pairs = found.map { merge in
            let text = texts[merge.id]
            return (
                String(decoding: text[..<merge.split], as: UTF8.self),
                String(decoding: text[merge.split...], as: UTF8.self)
            )
        }
    }
}
