import OrderedJSON

/// The tokenizer's keys of a GGUF file, made from `tokenizer.json` and its configuration.
struct GGUFTokenizerKeys {
    private let tokens: [String]
    private let types: [Int32]
    private let merges: [String]
    private let preTokenizer: String
    private let ids: [(key: String, id: Int)]
    private let addsBeginning: Bool
    private let json: String

    /// Makes the keys for an embedding with this number of rows; rows without a token become unused tokens.
    init(_ metadata: CheckpointMetadata, _ tokenizer: TokenizerRecord, _ config: JSON, rows: Int) throws {
        let path = "/tokenizer/json"
        let parsed = try TextFile.object(tokenizer.json, path: path)
        guard let model = parsed["model"], model["type"]?.string ?? "BPE" == "BPE", model["vocab"]?.object != nil else {
            throw ModelFormatError.unsupported(
                path: path, what: "a tokenizer other than BPE", remedy: "export it as a Hugging Face folder")
        }
        guard let name = GGUFPreTokenizer.name(of: parsed["pre_tokenizer"]) else {
            throw ModelFormatError.unsupported(
                path: path, what: "this pre_tokenizer in a GGUF file", remedy: "export it as a Hugging Face folder")
        }
        preTokenizer = name
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
        for (token, id) in model["vocab"]?.object ?? JSONObject() { try set(token, id.int, GGUFTokenType.normal) }
        for entry in parsed["added_tokens"]?.array ?? [] {
            let isSpecial = entry["special"]?.bool ?? false
            try set(
                entry["content"]?.string ?? "", entry["id"]?.int,
                isSpecial ? GGUFTokenType.control : GGUFTokenType.userDefined)
        }
        self.tokens = tokens
        self.types = types
        merges = try (model["merges"]?.array ?? []).enumerated().map { index, merge in
            if let text = merge.string { return text }
            guard let pair = merge.array?.compactMap(\.string), pair.count == 2, !pair.joined().contains(" ") else {
                throw ModelFormatError.malformed(
                    path: path, place: "merges[\(index)]", reason: "is not a pair of tokens")
            }
            return pair.joined(separator: " ")
        }
        addsBeginning = Self.addsBeginning(parsed["post_processor"])
        ids = try Self.roles(metadata, tokenizer, config, tokens)
        json = String(decoding: tokenizer.json, as: UTF8.self)
    }

    func add(to header: inout GGUFHeaderWriter) throws {
        header.add("tokenizer.ggml.model", "gpt2")
        header.add("tokenizer.ggml.pre", preTokenizer)
        header.add("tokenizer.ggml.tokens", tokens)
        header.add("tokenizer.ggml.token_type", types)
        header.add("tokenizer.ggml.merges", merges)
        for (key, id) in ids { try header.add("tokenizer.ggml.\(key)_token_id", id) }
        header.add("tokenizer.ggml.add_bos_token", addsBeginning)
        header.add("tokenizer.ggml.add_space_prefix", false)
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

    /// Whether the post-processor puts a token before every text.
    private static func addsBeginning(_ processor: JSON?) -> Bool {
        if let parts = processor?["processors"]?.array { return parts.contains { addsBeginning($0) } }
        return processor?["type"]?.string == "TemplateProcessing"
            && processor?["single"]?.array?.first?["SpecialToken"] != nil
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
