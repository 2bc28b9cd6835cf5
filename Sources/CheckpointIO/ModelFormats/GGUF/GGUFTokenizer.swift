import OrderedJSON

/// The `tokenizer.json` and `tokenizer_config.json` that a GGUF file's tokenizer stands for.
///
/// A GGUF file lists tokens, their kinds and the merges, and names the way text is cut before merging; what that name
/// stands for is in `GGUFPreTokenizer`.
struct GGUFTokenizer {
    let json: JSON
    let config: JSON

    /// ggml's kinds of token.
    private enum Kind {
        static let normal = 1
        static let unknown = 2
        static let control = 3
        static let userDefined = 4
        static let unused = 5
        static let byte = 6
    }

    /// - Returns: nil where the file has no tokenizer.
    init?(_ keys: GGUFMetadata, chatTemplate: String?, notes: inout [String]) throws {
        guard let model = try keys.string("tokenizer.ggml.model"), model != "none", model != "no_vocab" else {
            return nil
        }
        guard model == "gpt2" else {
            throw ModelFormatError.unsupported(
                path: keys.path, what: "tokenizer model \(quoted(model))",
                remedy: "import the model's Hugging Face folder")
        }
        guard let tokens = try keys.strings("tokenizer.ggml.tokens") else {
            throw keys.missing("tokenizer.ggml.tokens")
        }
        let pre = try keys.string("tokenizer.ggml.pre") ?? "default"
        guard let preTokenizer = GGUFPreTokenizer(name: pre) else {
            throw ModelFormatError.unsupported(
                path: keys.path, what: "pre-tokenizer \(quoted(pre))",
                remedy: "import the model's Hugging Face folder")
        }
        if preTokenizer.kind == .fallback {
            notes.append("the file does not say how its tokenizer cuts text; llama.cpp's default is taken")
        }
        let kinds = try keys.integers("tokenizer.ggml.token_type")
        guard kinds.map({ $0.count == tokens.count }) ?? true else {
            throw ModelFormatError.malformed(
                path: keys.path, place: "key \"tokenizer.ggml.token_type\"",
                reason: "has \(kinds!.count) entries for \(tokens.count) tokens")
        }

        let named = try Self.namedTokens(keys, tokens)
        var vocabulary = JSONObject()
        var added: [JSON] = []
        for (id, token) in tokens.enumerated() {
            let kind = kinds?[id] ?? Kind.normal
            if kind == Kind.unused { continue }
            guard vocabulary[token] == nil else {
                throw ModelFormatError.malformed(
                    path: keys.path, place: "tokenizer.ggml.tokens[\(id)]",
                    reason: "token \(quoted(token)) occurs twice")
            }
            vocabulary[token] = .integer(id)
            if kind == Kind.control || kind == Kind.userDefined || kind == Kind.unknown {
                added.append(Self.addedToken(id, token, special: kind != Kind.userDefined))
            }
        }
        let merges = try Self.merges(keys, vocabulary)
        let startsWithBeginning = try keys.bool("tokenizer.ggml.add_bos_token") ?? preTokenizer.addsBeginning
        let ids = (bos: try keys.integer("tokenizer.ggml.bos_token_id"), text: named["bos_token"])
        json = .object(
            JSONObject([
                ("version", "1.0"), ("truncation", .null), ("padding", .null), ("added_tokens", .array(added)),
                ("normalizer", preTokenizer.normalizer), ("pre_tokenizer", preTokenizer.json),
                (
                    "post_processor",
                    preTokenizer.postProcessor(
                        beginning: startsWithBeginning ? ids.bos.flatMap { id in ids.text.map { ($0, id) } } : nil)
                ),
                ("decoder", GGUFPreTokenizer.byteLevel(addPrefixSpace: true, useRegex: true)),
                (
                    "model",
                    .object(
                        JSONObject([
                            ("type", "BPE"), ("dropout", .null), ("unk_token", .null),
                            ("continuing_subword_prefix", .null), ("end_of_word_suffix", .null), ("fuse_unk", false),
                            ("byte_fallback", false), ("ignore_merges", .bool(preTokenizer.ignoresMerges)),
                            ("vocab", .object(vocabulary)), ("merges", .array(merges)),
                        ]))
                ),
            ]))

        var config = JSONObject([
            ("tokenizer_class", "PreTrainedTokenizerFast"), ("add_prefix_space", false),
            ("add_bos_token", .bool(startsWithBeginning)), ("clean_up_tokenization_spaces", false),
        ])
        for name in ["bos_token", "eos_token", "unk_token", "pad_token"] {
            config[name] = named[name].map(JSON.string) ?? .null
        }
        if let length = try keys.size(keys.own("context_length")) { config["model_max_length"] = .integer(length) }
        if let chatTemplate { config["chat_template"] = .string(chatTemplate) }
        self.config = .object(config)
    }

    private static func addedToken(_ id: Int, _ content: String, special: Bool) -> JSON {
        .object(
            JSONObject([
                ("id", .integer(id)), ("content", .string(content)), ("single_word", false), ("lstrip", false),
                ("rstrip", false), ("normalized", false), ("special", .bool(special)),
            ]))
    }

    /// The tokens with a role, by the name that `tokenizer_config.json` gives it.
    private static func namedTokens(_ keys: GGUFMetadata, _ tokens: [String]) throws -> [String: String] {
        var named: [String: String] = [:]
        for (key, name) in [
            ("bos", "bos_token"), ("eos", "eos_token"), ("unknown", "unk_token"), ("padding", "pad_token"),
            ("eot", "eot_token"), ("eom", "eom_token"),
        ] {
            let key = "tokenizer.ggml.\(key)_token_id"
            guard let id = try keys.integer(key) else { continue }
            guard tokens.indices.contains(id) else {
                throw ModelFormatError.malformed(
                    path: keys.path, place: "key \(quoted(key))",
                    reason: "\(id) is not one of the \(tokens.count) tokens")
            }
            named[name] = tokens[id]
        }
        return named
    }

    /// Pairs `["a", "b"]`, each checked against the vocabulary.
    private static func merges(_ keys: GGUFMetadata, _ vocabulary: JSONObject) throws -> [JSON] {
        try (keys.strings("tokenizer.ggml.merges") ?? []).enumerated().map { index, merge in
            // The two parts are joined by the one space that no byte-level token holds.
            let parts = merge.split(separator: " ", omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty,
                vocabulary[String(parts[0])] != nil, vocabulary[String(parts[1])] != nil,
                vocabulary[String(parts[0] + parts[1])] != nil
            else {
                throw ModelFormatError.malformed(
                    path: keys.path, place: "tokenizer.ggml.merges[\(index)]",
                    reason: "\(quoted(merge)) does not join two tokens into a third")
            }
            return .array([.string(String(parts[0])), .string(String(parts[1]))])
        }
    }
}
