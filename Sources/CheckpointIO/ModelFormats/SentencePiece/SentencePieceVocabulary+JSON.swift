import Foundation
import OrderedJSON

extension SentencePieceVocabulary {
    /// The tokenizer in the form of `tokenizer.json`.
    ///
    /// - Parameter processor: the post-processor.
    /// - Returns: the members of the file.
    /// - Throws: `ModelFormatError`.
    func tokenizerJSON(processor: JSON) throws -> JSON {
        try check()
        let userDefined = pieces.filter { $0.type == .userDefined }.map(\.text)
        let splits = userDefinedPieces == .ownModel && model == .bytePair && !userDefined.isEmpty
        return [
            "version": "1.0", "truncation": .null, "padding": .null, "added_tokens": .array(addedTokens),
            "normalizer": normalizer, "pre_tokenizer": preTokenizer(isolating: splits ? userDefined : []),
            "post_processor": processor, "decoder": decoder, "model": try modelJSON(ignoresMerges: splits),
        ]
    }

    private var addedTokens: [JSON] {
        pieces.enumerated().compactMap { id, piece in
            switch piece.type {
            case .control, .unknown: TokenizerParts.addedToken(id: id, piece.text, special: true)
            case .userDefined where userDefinedPieces == .addedTokens:
                TokenizerParts.addedToken(id: id, piece.text, special: false)
            case .userDefined, .normal, .unused, .byte: nil
            }
        }
    }

    /// In SentencePiece's order: characters, surplus spaces, the prefix, marks for spaces.
    private var normalizer: JSON {
        var steps: [JSON] = []
        if !charsmap.isEmpty {
            steps.append([
                "type": "Precompiled", "precompiled_charsmap": .string(Data(charsmap).base64EncodedString()),
            ])
        }
        if removesExtraSpaces {
            steps.append(["type": "Replace", "pattern": ["Regex": #"\A +| +\z"#], "content": ""])
            steps.append(["type": "Replace", "pattern": ["Regex": " {2,}"], "content": " "])
        }
        if addsPrefix, !usesMetaspace {
            steps.append(["type": "Prepend", "prepend": .string(escapesSpaces ? Self.mark : " ")])
        }
        if escapesSpaces {
            steps.append(["type": "Replace", "pattern": ["String": " "], "content": .string(Self.mark)])
        }
        return steps.isEmpty ? .null : ["type": "Sequence", "normalizers": .array(steps)]
    }

    /// Whether the prefix is the pre-tokenizer's task.
    private var usesMetaspace: Bool { addsPrefix && prefixesOnlyStart && escapesSpaces }

    private func preTokenizer(isolating pieces: [String]) -> JSON {
        var steps: [JSON] = []
        if usesMetaspace {
            steps.append([
                "type": "Metaspace", "replacement": .string(Self.mark), "prepend_scheme": "first", "split": false,
            ])
        }
        if !pieces.isEmpty {
            // The longest first, as SentencePiece's prefix matcher prefers.
            let pattern = pieces.sorted { ($1.utf8.count, $0) < ($0.utf8.count, $1) }
                .map(Self.escaped).joined(separator: "|")
            steps.append([
                "type": "Split", "pattern": ["Regex": .string(pattern)], "behavior": "Isolated", "invert": false,
            ])
        }
        guard steps.count > 1 else { return steps.first ?? .null }
        return ["type": "Sequence", "pretokenizers": .array(steps)]
    }

    /// A text as a pattern that matches just it.
    private static func escaped(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { result, scalar in
            if #"\.+*?()|[]{}^$"#.unicodeScalars.contains(scalar) { result += "\\" }
            result.unicodeScalars.append(scalar)
        }
    }

    private var decoder: JSON {
        var steps: [JSON] = [["type": "Replace", "pattern": ["String": .string(Self.mark)], "content": " "]]
        if fallsBackToBytes { steps.append(["type": "ByteFallback"]) }
        steps.append(["type": "Fuse"])
        if addsPrefix { steps.append(["type": "Strip", "content": " ", "start": 1, "stop": 0]) }
        return ["type": "Sequence", "decoders": .array(steps)]
    }

    private func modelJSON(ignoresMerges: Bool) throws -> JSON {
        switch model {
        case .unigram:
            // SentencePiece gives user-defined pieces a score that other divisions hardly reach (`unigram_model.cc` of
            // google/sentencepiece).
            let highest = pieces.lazy.filter { $0.type == .normal }.map(\.score).max() ?? 0
            func score(_ piece: Piece) -> Float {
                piece.type == .userDefined && userDefinedPieces == .ownModel
                    ? Float(piece.text.utf8.count) * highest - 0.1 : piece.score
            }
            return [
                "type": "Unigram", "unk_id": .integer(unknownID),
                "vocab": .array(pieces.map { .array([.string($0.text), .double(Double(score($0)))]) }),
                "byte_fallback": .bool(fallsBackToBytes),
            ]
        case .bytePair:
            var vocabulary = JSONObject()
            for (id, piece) in pieces.enumerated() {
                if piece.type == .unused, piece.text.isEmpty || vocabulary[piece.text] != nil { continue }
                vocabulary[piece.text] = .integer(id)
            }
            return [
                "type": "BPE", "dropout": .null, "unk_token": .string(pieces[unknownID].text),
                "continuing_subword_prefix": .null, "end_of_word_suffix": .null, "fuse_unk": true,
                "byte_fallback": .bool(fallsBackToBytes), "ignore_merges": .bool(ignoresMerges),
                "vocab": .object(vocabulary),
                "merges": .array(try PieceMerges(self).pairs.map { .array([.string($0.left), .string($0.right)]) }),
            ]
        }
    }
}
