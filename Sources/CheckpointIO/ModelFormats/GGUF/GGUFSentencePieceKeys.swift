import Foundation
import OrderedJSON

/// What a GGUF file says about a SentencePiece tokenizer, made from its `tokenizer.json`.
struct GGUFSentencePieceKeys {
    /// The name of the model: `llama` (BPE by scores) or `t5` (Unigram).
    let model: String
    /// The score of each token that has one, by its text.
    private var scores: [[UInt8]: Float] = [:]
    private(set) var addsPrefix = false
    private(set) var removesExtraSpaces = false
    private(set) var charsmap: [Int8] = []
    /// Tokens that the pre-tokenizer isolates.
    private(set) var isolated: [String] = []
    let unknown: String?
    /// What llama.cpp does differently.
    private(set) var notes: [String] = []

    private let path: String
    private var escapesSpaces = false

    /// Reads the parts of a `tokenizer.json`; nil if it is not a SentencePiece tokenizer.
    init?(_ tokenizer: JSON, path: String) throws {
        guard let modelJSON = tokenizer["model"] else { return nil }
        let isUnigram = modelJSON["type"]?.string == "Unigram" || modelJSON["vocab"]?.array != nil
        guard isUnigram || GGUFPreTokenizer.name(of: tokenizer["pre_tokenizer"]) == nil else { return nil }
        self.path = path
        model = isUnigram ? "t5" : "llama"
        unknown =
            modelJSON["unk_token"]?.string
            ?? modelJSON["unk_id"]?.int.flatMap { id in
                modelJSON["vocab"]?.array.flatMap { $0.indices.contains(id) ? $0[id].array?.first?.string : nil }
            }
        for step in Self.steps(tokenizer["normalizer"], "normalizers") { try readNormalizer(step) }
        for step in Self.steps(tokenizer["pre_tokenizer"], "pretokenizers") { try readPreTokenizer(step) }
        guard escapesSpaces else { throw unsupported("a tokenizer that does not mark spaces") }
        if isUnigram {
            for piece in modelJSON["vocab"]?.array ?? [] {
                guard let text = piece.array?.first?.string else { continue }
                let score = Float(piece.array?.last?.double ?? 0)
                guard score.isFinite else { throw unsupported("a score that is too large for a float32") }
                scores[Array(text.utf8)] = score
            }
            if modelJSON["byte_fallback"]?.bool == true {
                notes.append("llama.cpp's Unigram tokenizer has no bytes: unknown characters become its unknown token")
            }
        } else {
            guard charsmap.isEmpty, !removesExtraSpaces else { throw unsupported("this normalizer with a BPE model") }
            guard modelJSON["byte_fallback"]?.bool == true else { throw unsupported("BPE without byte_fallback") }
            for (rank, merge) in (modelJSON["merges"]?.array ?? []).enumerated() {
                let joined = merge.array?.compactMap(\.string).joined() ?? merge.string?.replacing(" ", with: "") ?? ""
                let key = Array(joined.utf8)
                // llama.cpp merges by the score of the result, so the first of its merges counts.
                if scores[key] == nil { scores[key] = -Float(rank) }
            }
        }
    }

    /// The score of a token; 0 for tokens that no merge makes.
    func score(of token: String) -> Float { scores[Array(token.utf8)] ?? 0 }

    func add(to header: inout GGUFHeaderWriter, tokens: [String]) {
        header.add("tokenizer.ggml.scores", tokens.map(score))
        header.add("tokenizer.ggml.add_space_prefix", addsPrefix)
        if removesExtraSpaces { header.add("tokenizer.ggml.remove_extra_whitespaces", true) }
        if !charsmap.isEmpty { header.add("tokenizer.ggml.precompiled_charsmap", charsmap) }
    }

    private func unsupported(_ what: String) -> ModelFormatError {
        .unsupported(path: path, what: "\(what) in a GGUF file", remedy: "export it as a Hugging Face folder")
    }

    /// The steps of a normalizer or pre-tokenizer, with sequences flattened.
    private static func steps(_ json: JSON?, _ key: String) -> [JSON] {
        guard let json, !json.isNull else { return [] }
        return json[key]?.array.map { $0.flatMap { steps($0, key) } } ?? [json]
    }

    private mutating func readNormalizer(_ step: JSON) throws {
        let content = step["content"]?.string
        switch (step["type"]?.string, step["pattern"]?["Regex"]?.string ?? step["pattern"]?["String"]?.string) {
        case ("Precompiled", _):
            guard let data = step["precompiled_charsmap"]?.string.flatMap({ Data(base64Encoded: $0) }) else {
                throw unsupported("this precompiled_charsmap")
            }
            charsmap = data.map { Int8(bitPattern: $0) }
        case ("Strip", _) where step["strip_right"]?.bool ?? true: removesExtraSpaces = true
        case ("Replace", #"\A +| +\z"#) where content == "": removesExtraSpaces = true
        case ("Replace", " {2,}"): removesExtraSpaces = true
        case ("Replace", " ") where content == SentencePieceVocabulary.mark: escapesSpaces = true
        case ("Prepend", _) where step["prepend"]?.string == SentencePieceVocabulary.mark: addsPrefix = true
        case (let type, _): throw unsupported("the normalizer \(quoted(type ?? "without a type"))")
        }
    }

    private mutating func readPreTokenizer(_ step: JSON) throws {
        switch step["type"]?.string {
        case "Metaspace" where step["replacement"]?.string == SentencePieceVocabulary.mark:
            escapesSpaces = true
            let scheme =
                step["prepend_scheme"]?.string ?? (step["add_prefix_space"]?.bool == false ? "never" : "always")
            addsPrefix = scheme != "never"
            if scheme == "first" {
                notes.append("llama.cpp puts a space before every text, also after an added token and before a space")
            }
        // T5's; its character table has already turned other white space into spaces.
        case "WhitespaceSplit" where !charsmap.isEmpty: break
        // Gemma's; the normalizer has already replaced the spaces.
        case "Split" where escapesSpaces && step["pattern"]?["String"]?.string == " ": break
        case "Split" where step["behavior"]?.string == "Isolated" && step["invert"]?.bool != true:
            guard let pieces = Self.alternatives(step["pattern"]?["Regex"]?.string ?? "") else {
                throw unsupported("the pre-tokenizer \"Split\"")
            }
            isolated += pieces
        case let type: throw unsupported("the pre-tokenizer \(quoted(type ?? "without a type"))")
        }
    }

    /// The texts that a pattern of escaped alternatives matches; nil if it is another pattern.
    private static func alternatives(_ pattern: String) -> [String]? {
        var texts = [""]
        var scalars = pattern.unicodeScalars[...]
        while let scalar = scalars.popFirst() {
            switch scalar {
            case "|": texts.append("")
            case "\\":
                guard let next = scalars.popFirst(), !next.properties.isAlphabetic else { return nil }
                texts[texts.count - 1].unicodeScalars.append(next)
            case ".", "+", "*", "?", "(", ")", "[", "]", "{", "}", "^", "$": return nil
            default: texts[texts.count - 1].unicodeScalars.append(scalar)
            }
        }
        return texts.contains("") ? nil : texts
    }
}
