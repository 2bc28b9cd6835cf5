import OrderedJSON

/// The tokenizer's keys of a GGUF file, made from `tokenizer.json` and its configuration.
struct GGUFTokenizerKeys {
    private let tokens: [String]
    private let types: [Int32]
    private let merges: [String]
    /// The name of a byte-level pre-tokenizer; nil for SentencePiece.
    private let preTokenizer: String?
    private let sentencePiece: GGUFSentencePieceKeys?
    private let ids: [(key: String, id: Int)]
    private let addsBeginning: Bool
    private let addsEnd: Bool
    private let json: String

    /// What llama.cpp does differently with this tokenizer, one line each.
    var notes: [String] { sentencePiece?.notes ?? [] }

    /// Makes the keys for an embedding with this number of rows; rows without a token become unused tokens.
    init(_ metadata: CheckpointMetadata, _ tokenizer: TokenizerRecord, _ config: JSON, rows: Int) throws {
        let path = "/tokenizer/json"
        let parsed = try TextFile.object(tokenizer.json, path: path)
        guard let model = parsed["model"], ["BPE", "Unigram"].contains(model["type"]?.string ?? "BPE") else {
            throw ModelFormatError.unsupported(
                path: path, what: "a tokenizer other than BPE and Unigram", remedy: "export it as a Hugging Face folder"
            )
        }
        preTokenizer = GGUFPreTokenizer.name(of: parsed["pre_tokenizer"])
        sentencePiece = try GGUFSentencePieceKeys(parsed, path: path)
        var tokens = (0..<rows).map { "[PAD\($0)]" }
        var types = [Int32](repeating: Int32(GGUFTokenType.unused), count: rows)
        func set(_ token: String, _ id: Int?, _ type: Int) throws {
            guard let id, tokens.indices.contains(id) else {
                throw ModelFormatError.malformed(
                    path: path, place: "token \(quoted(token))", reason: "has no row among the embedding's \(rows)")
            }
            tokens[id] = token
            types[id] = Int32(type)
        }
        for (token, id) in model["vocab"]?.object ?? JSONObject() {
            if let id = id.int, types.indices.contains(id), types[id] != GGUFTokenType.unused {
                throw ModelFormatError.unsupported(
                    path: path, what: "tokens with one id, \(id): \(quoted(tokens[id])) and \(quoted(token))",
                    remedy: "export it as a Hugging Face folder")
            }
            try set(token, id.int, GGUFTokenType.normal)
        }
        for (id, piece) in (model["vocab"]?.array ?? []).enumerated() {
            try set(piece.array?.first?.string ?? "", id, GGUFTokenType.normal)
        }
        for entry in parsed["added_tokens"]?.array ?? [] {
            let isSpecial = entry["special"]?.bool ?? false
            try set(
                entry["content"]?.string ?? "", entry["id"]?.int,
                isSpecial ? GGUFTokenType.control : GGUFTokenType.userDefined)
        }
        if let sentencePiece {
            let isolated = Set(sentencePiece.isolated.map { Array($0.utf8) })
            let hasBytes = model["byte_fallback"]?.bool == true
            for (id, token) in tokens.enumerated() where types[id] != GGUFTokenType.unused {
                if let unknown = sentencePiece.unknown, token.utf8.elementsEqual(unknown.utf8) {
                    types[id] = Int32(GGUFTokenType.unknown)
                } else if types[id] == GGUFTokenType.normal, hasBytes, Self.isByte(token) {
                    types[id] = Int32(GGUFTokenType.byte)
                } else if isolated.contains(Array(token.utf8)) {
                    types[id] = Int32(GGUFTokenType.userDefined)
                }
            }
        }
        self.tokens = tokens
        self.types = types
        // The merges of SentencePiece's models are not written.
        let vocabulary = sentencePiece == nil ? model["vocab"]?.object : nil
        merges = try (model["merges"]?.array ?? []).enumerated().map { index, merge in
            let pair =
                merge.string?.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
                ?? merge.array?.compactMap(\.string) ?? []
            guard pair.count == 2, !pair.contains(""), !pair.joined().contains(" ") else {
                throw ModelFormatError.malformed(
                    path: path, place: "merges[\(index)]", reason: "is not a pair of tokens")
            }
            if let vocabulary, !(pair + [pair.joined()]).allSatisfy({ vocabulary[$0] != nil }) {
                throw ModelFormatError.malformed(
                    path: path, place: "merges[\(index)]", reason: "does not join two tokens into a third")
            }
            return pair.joined(separator: " ")
        }
        addsBeginning = Self.adds(parsed["post_processor"]) { $0.first }
        addsEnd = Self.adds(parsed["post_processor"]) { $0.last }
        ids = try Self.roles(metadata, tokenizer, config, tokens)
        json = String(decoding: tokenizer.json, as: UTF8.self)
    }

    func add(to header: inout GGUFHeaderWriter) throws {
        header.add("tokenizer.ggml.model", sentencePiece?.model ?? "gpt2")
        header.add("tokenizer.ggml.pre", preTokenizer ?? "default")
        header.add("tokenizer.ggml.tokens", tokens)
        header.add("tokenizer.ggml.token_type", types)
        if let sentencePiece {
            sentencePiece.add(to: &header, tokens: tokens)
        } else {
            header.add("tokenizer.ggml.merges", merges)
            header.add("tokenizer.ggml.add_space_prefix", false)
        }
        for (key, id) in ids { try header.add("tokenizer.ggml.\(key)_token_id", id) }
        header.add("tokenizer.ggml.add_bos_token", addsBeginning)
        header.add("tokenizer.ggml.add_eos_token", addsEnd)
        // The original, which our importer restores verbatim.
        header.add("tokenizer.huggingface.json", json)
    }

    /// The tokens with a role, from the tokenizer's configuration or else from the model's.
    private static func roles(
        _ metadata: CheckpointMetadata, _ tokenizer: TokenizerRecord, _ config: JSON, _ tokens: [String]
    ) throws -> [(key: String, id: Int)] {
        let named = try tokenizer.config.map { try TextFile.object(Array($0.utf8), path: "/tokenizer/config") }
        let generation = try metadata.generationConfig.map {
            try TextFile.object(Array($0.utf8), path: "/generation_config")
        }
        func id(_ role: String) -> Int? {
            let value = named?["\(role)_token"]
            if let text = value?.string ?? value?["content"]?.string, let id = tokens.firstIndex(of: text) { return id }
            return config["\(role)_token_id"]?.int ?? generation?["\(role)_token_id"]?.int
        }
        var roles: [(key: String, id: Int)] = []
        if let beginning = id("bos") { roles.append(("bos", beginning)) }
        let listed = (generation?["eos_token_id"] ?? config["eos_token_id"])
        let ends = listed?.array?.compactMap(\.int) ?? listed?.int.map { [$0] } ?? []
        // transformers stops at the listed tokens, regardless of the tokenizer's end token.
        let end = id("eos").flatMap { ends.isEmpty || ends.contains($0) ? $0 : nil } ?? ends.first
        if let end { roles.append(("eos", end)) }
        for (key, other) in zip(["eot", "eom"], ends.filter { $0 != end }) { roles.append((key, other)) }
        if let unknown = id("unk") { roles.append(("unknown", unknown)) }
        if let padding = id("pad") { roles.append(("padding", padding)) }
        return roles.filter { tokens.indices.contains($0.id) }
    }

    /// Whether the post-processor puts a token at the end of a text that `end` selects.
    private static func adds(_ processor: JSON?, _ end: ([JSON]) -> JSON?) -> Bool {
        if let parts = processor?["processors"]?.array { return parts.contains { adds($0, end) } }
        return processor?["type"]?.string == "TemplateProcessing"
            && processor?["single"]?.array.flatMap(end)?["SpecialToken"] != nil
    }

    /// Whether a token has the form `<0xHH>`.
    private static func isByte(_ token: String) -> Bool {
        let bytes = Array(token.utf8)
        return bytes.count == 6 && token.hasPrefix("<0x") && bytes[5] == UInt8(ascii: ">")
            && UInt8(String(decoding: bytes[3..<5], as: UTF8.self), radix: 16) != nil
    }
}

extension GGUFPreTokenizer {
    /// llama.cpp's name for the pre-tokenizer of a `tokenizer.json`; nil if it has none.
    static func name(of json: JSON?) -> String? {
        let wanted = essence(json)
        guard !wanted.isEmpty else { return nil }
        return ["gpt-2", "smollm", "qwen2", "llama-bpe", "default"].first { name in
            GGUFPreTokenizer(name: name).map { essence($0.json) == wanted } ?? false
        }
    }

    /// The steps that decide where text is split, without options that affect only offsets.
    private static func essence(_ json: JSON?) -> [String] {
        guard let json else { return [] }
        if let parts = json["pretokenizers"]?.array { return parts.flatMap { essence($0) } }
        switch json["type"]?.string {
        case "ByteLevel":
            let regex = json["use_regex"]?.bool ?? true
            return ["bytes \(regex) \(json["add_prefix_space"]?.bool ?? true)"]
        case "Digits": return ["digits \(json["individual_digits"]?.bool ?? false)"]
        case "Split":
            let pattern = json["pattern"]?["Regex"]?.string ?? json["pattern"]?["String"]?.string ?? ""
            return ["split \(json["behavior"]?.string ?? "") \(json["invert"]?.bool ?? false) \(pattern)"]
        case let type: return ["other \(type ?? "")"]
        }
    }
}
