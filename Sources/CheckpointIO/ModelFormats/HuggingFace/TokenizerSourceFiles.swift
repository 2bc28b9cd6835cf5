import Foundation
import OrderedJSON

/// A tokenizer in files other than `tokenizer.json`, converted to its form: SentencePiece, or `vocab.json` with merges.
struct TokenizerSourceFiles {
    let tokenizer: JSON
    /// The file with the vocabulary, for errors.
    let path: String
    /// Members of `tokenizer_config.json` that hold if it does not name them.
    private(set) var defaults: [String: String] = [:]
    private(set) var notes: [String] = []

    /// Reads the files; nil if there are none that are read.
    init?(folder: String, config: JSON, modelType: String?) throws {
        let path = { (folder as NSString).appendingPathComponent($0) }
        let name = config["tokenizer_class"]?.string ?? ""
        for file in ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model"] {
            guard let bytes = try TextFile.bytes(path(file), maximumByteCount: TextFile.maximumTokenizerByteCount),
                !Self.isTiktoken(bytes)
            else { continue }
            let model = try SentencePieceModel(bytes, path: path(file))
            self.path = path(file)
            defaults = model.named
            var vocabulary = model.vocabulary
            if let addsPrefix = config["add_prefix_space"]?.bool { vocabulary.addsPrefix = addsPrefix }
            vocabulary.prefixesOnlyStart = config["legacy"]?.bool == false
            let names = model.named.merging(Self.texts(config)) { $1 }
            let addsBeginning =
                config["add_bos_token"]?.bool ?? ["Llama", "CodeLlama", "Gemma"].contains { name.hasPrefix($0) }
            let addsEnd = config["add_eos_token"]?.bool ?? ["T5", "MT5"].contains { name.hasPrefix($0) }
            func token(_ role: String) -> (token: String, id: Int)? {
                guard let text = names[role],
                    let id = vocabulary.pieces.firstIndex(where: { $0.text.utf8.elementsEqual(text.utf8) })
                else { return nil }
                return (text, id)
            }
            tokenizer = try vocabulary.tokenizerJSON(
                processor: TokenizerParts.template(
                    beginning: addsBeginning ? token("bos_token") : nil, end: addsEnd ? token("eos_token") : nil)
                    ?? .null)
            return
        }
        guard let bytes = try TextFile.bytes(path("vocab.json"), maximumByteCount: TextFile.maximumTokenizerByteCount),
            let merges = try TextFile.text(path("merges.txt"), maximumByteCount: TextFile.maximumTokenizerByteCount),
            let kind = BytePairFiles(className: name, modelType: modelType)
        else { return nil }
        self.path = path("vocab.json")
        tokenizer = kind.tokenizer(vocabulary: try TextFile.object(bytes, path: path("vocab.json")), merges: merges)
        defaults = kind.defaults
    }

    /// The texts of the tokens with a role.
    private static func texts(_ config: JSON) -> [String: String] {
        var texts: [String: String] = [:]
        for name in ["bos_token", "eos_token"] {
            if let text = config[name]?.string ?? config[name]?["content"]?.string { texts[name] = text }
        }
        return texts
    }

    /// Whether a `tokenizer.model` is a list of tokens in base64 for tiktoken, such as Llama 3's.
    private static func isTiktoken(_ bytes: [UInt8]) -> Bool {
        let line = bytes.prefix(4096).prefix { $0 != UInt8(ascii: "\n") }
        let parts = line.split(separator: UInt8(ascii: " "))
        return parts.count == 2 && parts[1].allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            && parts[0].allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}

/// The tokenizers that transformers saves as `vocab.json` and `merges.txt`.
private enum BytePairFiles {
    case gpt2, qwen2

    /// The kind by the tokenizer's class, or else by the model's; nil for other tokenizers.
    init?(className: String, modelType: String?) {
        switch className.hasSuffix("Fast") ? String(className.dropLast(4)) : className {
        case "Qwen2Tokenizer": self = .qwen2
        case "GPT2Tokenizer": self = .gpt2
        case "" where modelType.map { ["qwen2", "qwen3"].contains($0) } ?? false: self = .qwen2
        default: return nil
        }
    }

    /// The defaults of the class.
    var defaults: [String: String] {
        let names = ["eos_token", "unk_token"] + [self == .gpt2 ? "bos_token" : "pad_token"]
        return Dictionary(uniqueKeysWithValues: names.map { ($0, "<|endoftext|>") })
    }

    func tokenizer(vocabulary: JSON, merges: String) -> JSON {
        var pairs: [JSON] = []
        for line in merges.utf8.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }) {
            if pairs.isEmpty, line.starts(with: "#version".utf8) { continue }
            pairs.append(
                .array(
                    line.split(separator: UInt8(ascii: " ")).map { .string(String(decoding: $0, as: UTF8.self)) }))
        }
        let preTokenizer = GGUFPreTokenizer(self == .qwen2 ? .qwen2 : .gpt2)
        return [
            "version": "1.0", "truncation": .null, "padding": .null, "added_tokens": [],
            "normalizer": preTokenizer.normalizer, "pre_tokenizer": preTokenizer.json,
            "post_processor": preTokenizer.postProcessor(nil),
            "decoder": GGUFPreTokenizer.byteLevel(addPrefixSpace: false, useRegex: false),
            "model": [
                "type": "BPE", "dropout": .null, "unk_token": .null, "continuing_subword_prefix": .null,
                "end_of_word_suffix": .null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": vocabulary, "merges": .array(pairs),
            ],
        ]
    }
}
