import OrderedJSON

/// Pre-tokenizers with the same behaviour, which GGUF files call by various names.
enum GGUFPreTokenizerFamily {
    case gpt2, smollm, qwen2, llama3
    /// llama.cpp's default for files that name none.
    case fallback
}

/// A pre-tokenizer that GGUF files name, in the form of `tokenizer.json`.
struct GGUFPreTokenizer {
    let family: GGUFPreTokenizerFamily
    let name: String

    /// The pre-tokenizer for a value of `tokenizer.ggml.pre`; nil for an unknown name.
    init?(name: String) {
        switch name {
        case "gpt-2", "mpt", "olmo", "jais", "phi-2", "trillion", "granite-docling": family = .gpt2
        case "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b": family = .smollm
        case "qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan-dense": family = .qwen2
        case "llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "dbrx", "smaug-bpe": family = .llama3
        case "default": family = .fallback
        default: return nil
        }
        self.name = name
    }

    init(_ family: GGUFPreTokenizerFamily) {
        self.family = family
        name = ""
    }

    /// GPT-2's pattern, which ByteLevel has built in, as llama.cpp's default spells it.
    private static let gpt2Pattern =
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"#

    /// The pattern of Llama 3 and Qwen 2, which differ in the number of digits that stay together.
    private static func modernPattern(digits: String) -> String {
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits
            + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }

    var json: JSON {
        switch family {
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

    /// Qwen normalises text to composed characters; the others do not normalise.
    var normalizer: JSON {
        family == .qwen2 && name != "stablelm2" ? .object(JSONObject([("type", "NFC")])) : .null
    }

    /// Whether a pre-token that is in the vocabulary becomes one token, regardless of the merges.
    var ignoresMerges: Bool { family == .llama3 }

    /// Whether a text starts with the beginning token if the file does not specify it.
    var addsBeginning: Bool { family == .llama3 }

    /// The post-processor with the template that puts tokens around every text; a plain one if it is nil.
    func postProcessor(_ template: JSON?) -> JSON {
        let bytes = Self.byteLevel(addPrefixSpace: true, useRegex: true)
        guard let template else { return family == .smollm ? .null : bytes }
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
