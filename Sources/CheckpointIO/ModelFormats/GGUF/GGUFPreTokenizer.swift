import OrderedJSON

/// The ways of cutting text before merging that GGUF files name, as `tokenizer.json` writes them.
struct GGUFPreTokenizer {
    enum Kind {
        case gpt2, smollm, qwen2, llama3
        /// What llama.cpp does where a file names none.
        case fallback
    }

    let kind: Kind
    let name: String

    /// - Parameter name: the value of `tokenizer.ggml.pre`; nil is returned for those that are not known.
    init?(name: String) {
        switch name {
        case "gpt-2", "mpt", "olmo", "jais", "phi-2", "trillion", "granite-docling": kind = .gpt2
        case "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b": kind = .smollm
        case "qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan-dense": kind = .qwen2
        case "llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "dbrx", "smaug-bpe": kind = .llama3
        case "default": kind = .fallback
        default: return nil
        }
        self.name = name
    }

    /// The split of GPT-2, which ByteLevel has built in; here as llama.cpp spells it for its default.
    private static let gpt2Pattern =
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"#

    /// The split of Llama 3 and Qwen 2, which differ in how many digits stay together.
    private static func modernPattern(digits: String) -> String {
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits
            + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }

    var json: JSON {
        switch kind {
        case .gpt2: Self.byteLevel(addPrefixSpace: false, useRegex: true)
        case .smollm:
            Self.sequence([
                .object(JSONObject([("type", "Digits"), ("individual_digits", true)])),
                Self.byteLevel(addPrefixSpace: false, useRegex: true),
            ])
        case .qwen2: Self.splits([Self.modernPattern(digits: #"\p{N}"#)])
        case .llama3: Self.splits([Self.modernPattern(digits: #"\p{N}{1,3}"#)])
        case .fallback:
            Self.splits([#"[\p{P}\$\+<=>\^~\|]+"#, Self.gpt2Pattern, #"\p{N}+"#, "[0-9][0-9][0-9]"])
        }
    }

    /// Qwen normalises to composed characters; the others leave text as it is.
    var normalizer: JSON {
        kind == .qwen2 && name != "stablelm2" ? .object(JSONObject([("type", "NFC")])) : .null
    }

    /// Whether a piece that is a token as a whole is taken as it is, whatever the merges say.
    var ignoresMerges: Bool { kind == .llama3 }

    /// Whether a text starts with the beginning token where the file does not say.
    var addsBeginning: Bool { kind == .llama3 }

    /// - Parameter beginning: the token to put before every text, with its id.
    func postProcessor(beginning: (token: String, id: Int)?) -> JSON {
        let bytes = Self.byteLevel(addPrefixSpace: true, useRegex: true)
        guard let beginning else { return kind == .smollm ? .null : bytes }
        func special(_ type: Int) -> JSON {
            .object(
                JSONObject([
                    (
                        "SpecialToken",
                        .object(JSONObject([("id", .string(beginning.token)), ("type_id", .integer(type))]))
                    )
                ]))
        }
        func sequence(_ id: String, _ type: Int) -> JSON {
            .object(
                JSONObject([("Sequence", .object(JSONObject([("id", .string(id)), ("type_id", .integer(type))])))]))
        }
        let template = JSON.object(
            JSONObject([
                ("type", "TemplateProcessing"), ("single", .array([special(0), sequence("A", 0)])),
                ("pair", .array([special(0), sequence("A", 0), special(1), sequence("B", 1)])),
                (
                    "special_tokens",
                    .object(
                        JSONObject([
                            (
                                beginning.token,
                                .object(
                                    JSONObject([
                                        ("id", .string(beginning.token)), ("ids", .array([.integer(beginning.id)])),
                                        ("tokens", .array([.string(beginning.token)])),
                                    ]))
                            )
                        ]))
                ),
            ]))
        return .object(JSONObject([("type", "Sequence"), ("processors", .array([bytes, template]))]))
    }

    static func byteLevel(addPrefixSpace: Bool, useRegex: Bool) -> JSON {
        .object(
            JSONObject([
                ("type", "ByteLevel"), ("add_prefix_space", .bool(addPrefixSpace)), ("trim_offsets", true),
                ("use_regex", .bool(useRegex)),
            ]))
    }

    private static func sequence(_ parts: [JSON]) -> JSON {
        .object(JSONObject([("type", "Sequence"), ("pretokenizers", .array(parts))]))
    }

    private static func splits(_ patterns: [String]) -> JSON {
        let splits = patterns.map { pattern in
            JSON.object(
                JSONObject([
                    ("type", "Split"), ("pattern", .object(JSONObject([("Regex", .string(pattern))]))),
                    ("behavior", "Isolated"), ("invert", false),
                ]))
        }
        return sequence(splits + [byteLevel(addPrefixSpace: false, useRegex: false)])
    }
}
