import OrderedJSON

/// `tokenizer.json` and `tokenizer_config.json`, rebuilt from the tokenizer in a GGUF file.
///
/// A GGUF file lists the tokens with their types. Byte-level BPE (`gpt2`) has merges and the name of a pre-tokenizer
/// (`GGUFPreTokenizer`), SentencePiece's models have scores (`GGUFSentencePiece`).
struct GGUFTokenizer {
    let json: JSON
    let config: JSON

    private enum Model: String {
        case gpt2, llama, t5
    }

    /// Rebuilds the tokenizer; nil if the file has none.
    init?(_ keys: GGUFMetadata, chatTemplate: String?, notes: inout [String]) throws {
        guard let name = try keys.string("tokenizer.ggml.model"), name != "none", name != "no_vocab" else {
            return nil
        }
        guard let model = Model(rawValue: name) else {
            throw ModelFormatError.unsupported(
                path: keys.path, what: "tokenizer model \(quoted(name))",
                remedy: "import the model's Hugging Face folder")
        }
        guard let tokens = try keys.strings("tokenizer.ggml.tokens") else {
            throw keys.missing("tokenizer.ggml.tokens")
        }
        let types = try Self.tokenTypes(keys, count: tokens.count)
        let named = try Self.namedTokens(keys, tokens)
        let preTokenizer = model == .gpt2 ? try Self.preTokenizer(keys, &notes) : nil
        let addsBeginning =
            try keys.bool("tokenizer.ggml.add_bos_token") ?? preTokenizer?.addsBeginning ?? (model == .llama)
        let addsEnd = try keys.bool("tokenizer.ggml.add_eos_token") ?? (model == .t5)
        func surrounding(_ adds: Bool, _ key: String, _ name: String) throws -> (token: String, id: Int)? {
            guard adds, let id = try keys.integer("tokenizer.ggml.\(key)_token_id"), let token = named[name] else {
                return nil
            }
            return (token, id)
        }
        let template = TokenizerParts.template(
            beginning: try surrounding(addsBeginning, "bos", "bos_token"),
            end: try surrounding(addsEnd, "eos", "eos_token"))
        if let preTokenizer {
            json = try Self.byteLevel(keys, tokens, types, preTokenizer, template)
        } else {
            let source = try GGUFSentencePiece(
                keys, model: model == .t5 ? .unigram : .bytePair, tokens, types, notes: &notes)
            json = try source.vocabulary.tokenizerJSON(processor: template ?? .null)
        }
        config = try Self.configuration(
            keys, named, addsBeginning: addsBeginning, addsEnd: addsEnd, chatTemplate: chatTemplate)
    }

    /// The tokenizer of the model `gpt2`.
    private static func byteLevel(
        _ keys: GGUFMetadata, _ tokens: [String], _ types: [Int], _ preTokenizer: GGUFPreTokenizer, _ template: JSON?
    ) throws -> JSON {
        let (vocabulary, added) = try Self.vocabulary(tokens, types, path: keys.path)
        let merges = try Self.merges(keys, vocabulary)
        return .object(
            JSONObject([
                ("version", "1.0"), ("truncation", .null), ("padding", .null), ("added_tokens", .array(added)),
                ("normalizer", preTokenizer.normalizer), ("pre_tokenizer", preTokenizer.json),
                ("post_processor", preTokenizer.postProcessor(template)),
                ("decoder", GGUFPreTokenizer.byteLevel(addPrefixSpace: true, useRegex: true)),
                ("model", Self.model(vocabulary, merges, ignoresMerges: preTokenizer.ignoresMerges)),
            ]))
    }

    private static func preTokenizer(_ keys: GGUFMetadata, _ notes: inout [String]) throws -> GGUFPreTokenizer {
        let name = try keys.string("tokenizer.ggml.pre") ?? "default"
        guard let preTokenizer = GGUFPreTokenizer(name: name) else {
            throw ModelFormatError.unsupported(
                path: keys.path, what: "pre-tokenizer \(quoted(name))",
                remedy: "import the model's Hugging Face folder")
        }
        if preTokenizer.family == .fallback {
            notes.append("the file does not name its pre-tokenizer; llama.cpp's default is used")
        }
        return preTokenizer
    }

    /// The type of each token, one of `GGUFTokenType`.
    private static func tokenTypes(_ keys: GGUFMetadata, count: Int) throws -> [Int] {
        guard let types = try keys.integers("tokenizer.ggml.token_type") else {
            return [Int](repeating: GGUFTokenType.normal, count: count)
        }
        guard types.count == count else {
            throw ModelFormatError.malformed(
                path: keys.path, place: "key \"tokenizer.ggml.token_type\"",
                reason: "has \(types.count) \(types.count == 1 ? "entry" : "entries") for \(count) tokens")
        }
        return types
    }

    /// The ids of all tokens in use, and the list of added tokens.
    private static func vocabulary(
        _ tokens: [String], _ types: [Int], path: String
    ) throws -> (vocabulary: JSONObject, added: [JSON]) {
        var vocabulary = JSONObject()
        var added: [JSON] = []
        for (id, (token, type)) in zip(tokens, types).enumerated() where type != GGUFTokenType.unused {
            guard vocabulary[token] == nil else {
                throw ModelFormatError.malformed(
                    path: path, place: "tokenizer.ggml.tokens[\(id)]", reason: "token \(quoted(token)) occurs twice")
            }
            vocabulary[token] = .integer(id)
            if [GGUFTokenType.control, GGUFTokenType.userDefined, GGUFTokenType.unknown].contains(type) {
                added.append(TokenizerParts.addedToken(id: id, token, special: type != GGUFTokenType.userDefined))
            }
        }
        return (vocabulary, added)
    }

    private static func model(_ vocabulary: JSONObject, _ merges: [JSON], ignoresMerges: Bool) -> JSON {
        .object(
            JSONObject([
                ("type", "BPE"), ("dropout", .null), ("unk_token", .null), ("continuing_subword_prefix", .null),
                ("end_of_word_suffix", .null), ("fuse_unk", false), ("byte_fallback", false),
                ("ignore_merges", .bool(ignoresMerges)), ("vocab", .object(vocabulary)), ("merges", .array(merges)),
            ]))
    }

    /// `tokenizer_config.json`.
    private static func configuration(
        _ keys: GGUFMetadata, _ named: [String: String], addsBeginning: Bool, addsEnd: Bool, chatTemplate: String?
    ) throws -> JSON {
        var config = JSONObject([
            ("tokenizer_class", "PreTrainedTokenizerFast"), ("add_prefix_space", false),
            ("add_bos_token", .bool(addsBeginning)), ("add_eos_token", .bool(addsEnd)),
            ("clean_up_tokenization_spaces", false),
        ])
        for name in ["bos_token", "eos_token", "unk_token", "pad_token"] {
            config[name] = named[name].map(JSON.string) ?? .null
        }
        if let length = try keys.size(keys.own("context_length")) { config["model_max_length"] = .integer(length) }
        if let chatTemplate { config["chat_template"] = .string(chatTemplate) }
        return .object(config)
    }

    /// The tokens with a role, by the role's name in `tokenizer_config.json`.
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

    /// The merges as pairs `["a", "b"]`, checked against the vocabulary.
    private static func merges(_ keys: GGUFMetadata, _ vocabulary: JSONObject) throws -> [JSON] {
        try (keys.strings("tokenizer.ggml.merges") ?? []).enumerated().map { index, merge in
            // The two parts are separated by a space, which does not occur in byte-level tokens.
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

/// ggml's types of token.
enum GGUFTokenType {
    static let normal = 1
    static let unknown = 2
    static let control = 3
    static let userDefined = 4
    static let unused = 5
    static let byte = 6
}
