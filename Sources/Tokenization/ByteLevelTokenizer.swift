import OrderedJSON

/// Makes tokenizers that know bytes and nothing more, for models made from nothing.
public enum ByteLevelTokenizer {
    /// A `tokenizer.json` of byte-level BPE without merges.
    ///
    /// - Parameters:
    ///   - specialTokens: get the ids behind the bytes, in order; repeated and empty ones are left out.
    ///   - alphabet: the vocabulary then has only the bytes of these characters and the newline, in order of byte;
    ///     other text loses the bytes that are not among them. nil for all 256.
    public static func makeJSON(specialTokens: [String], alphabet: String?) -> [UInt8] {
        var isUsed = [Bool](repeating: alphabet == nil, count: 256)
        for byte in (alphabet ?? "").utf8 { isUsed[Int(byte)] = true }
        isUsed[Int(UInt8(ascii: "\n"))] = true
        var vocabulary = JSONObject()
        for byte in 0..<256 where isUsed[byte] {
            vocabulary[ByteLevelAlphabet.text(of: [UInt8(byte)])] = .integer(vocabulary.count)
        }
        var added: [JSON] = []
        var contents = JSONObject()
        var nextID = vocabulary.count
        for content in specialTokens where !content.isEmpty && contents[content] == nil {
            contents[content] = true
            // One that is a character of the vocabulary keeps that character's id.
            let id = vocabulary[content]?.int ?? nextID
            if id == nextID { nextID += 1 }
            added.append([
                "id": .integer(id), "content": .string(content), "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true,
            ])
        }
        let byteLevel: JSON = [
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
        ]
        let root: JSON = [
            "version": "1.0", "truncation": .null, "padding": .null, "added_tokens": .array(added), "normalizer": .null,
            "pre_tokenizer": byteLevel, "post_processor": .null, "decoder": byteLevel,
            "model": [
                "type": "BPE", "dropout": .null, "unk_token": .null, "continuing_subword_prefix": .null,
                "end_of_word_suffix": .null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": .object(vocabulary), "merges": [],
            ],
        ]
        return Array(root.serialized(indent: 2).utf8)
    }
}
