import OrderedJSON

/// A SentencePiece tokenizer in a GGUF file: model `llama` (BPE by scores) or `t5` (Unigram).
struct GGUFSentencePiece {
    let vocabulary: SentencePieceVocabulary

    /// Reads the keys with llama.cpp's defaults (`llama-vocab.cpp` of ggml-org/llama.cpp).
    init(
        _ keys: GGUFMetadata, model: SentencePieceVocabulary.Model, _ tokens: [String], _ types: [Int],
        notes: inout [String]
    ) throws {
        let scores = try keys.floats("tokenizer.ggml.scores")
        if let scores, scores.count != tokens.count {
            throw ModelFormatError.malformed(
                path: keys.path, place: "key \"tokenizer.ggml.scores\"",
                reason: "has \(scores.count) \(scores.count == 1 ? "entry" : "entries") for \(tokens.count) tokens")
        }
        var pieces: [SentencePieceVocabulary.Piece] = []
        for (id, text) in tokens.enumerated() {
            var piece = SentencePieceVocabulary.Piece(
                text: text, score: Float(scores?[id] ?? 0), type: PieceType(rawValue: types[id]) ?? .normal)
            // Rows without a token; a Unigram model numbers its tokens by their place in the list, which keeps these.
            if model == .bytePair, text.isEmpty || piece.type == .unused {
                piece.type = .unused
                piece.text = ""
            }
            pieces.append(piece)
        }
        while pieces.last?.type == .unused { pieces.removeLast() }
        if model == .bytePair {
            if let first = scores?.first, scores?.allSatisfy({ $0 == first }) ?? false {
                notes.append("all tokens have the same score; pairs are merged in the order of the tokens' ids")
            }
        } else if scores == nil {
            throw keys.missing("tokenizer.ggml.scores")
        }
        let unknown = try keys.integer("tokenizer.ggml.unknown_token_id") ?? pieces.firstIndex { $0.type == .unknown }
        var vocabulary = SentencePieceVocabulary(
            path: keys.path, model: model, pieces: pieces, unknownID: unknown ?? 0,
            fallsBackToBytes: model == .bytePair && pieces.contains { $0.type == .byte })
        if model == .unigram, pieces.contains(where: { $0.type == .byte }) {
            notes.append(
                "the byte tokens are not used: an unknown character becomes the unknown token, as in llama.cpp")
        }
        vocabulary.addsPrefix = try keys.bool("tokenizer.ggml.add_space_prefix") ?? true
        if model == .unigram {
            vocabulary.removesExtraSpaces = try keys.bool("tokenizer.ggml.remove_extra_whitespaces") ?? false
            let charsmap = try keys.integers("tokenizer.ggml.precompiled_charsmap") ?? []
            vocabulary.charsmap = charsmap.map { UInt8(truncatingIfNeeded: $0) }
        }
        self.vocabulary = vocabulary
    }
}
