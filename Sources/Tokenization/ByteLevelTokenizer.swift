import OrderedJSON

/// Makes byte-level tokenizers without merges, for models that are trained from scratch.
package enum ByteLevelTokenizer {
    /// Makes a `tokenizer.json` whose tokens are single bytes and the special tokens.
    ///
    /// - Parameters:
    ///   - specialTokens: receive the ids after the bytes, in order; duplicates and empty ones are skipped.
    ///   - alphabet: limits the vocabulary to the bytes of these characters and the newline, in byte order; encoding
    ///     drops all other bytes. nil keeps all 256 bytes.
    /// - Returns: the file's bytes.
    package static func makeJSON(specialTokens: [String], alphabet: String?) -> [UInt8] {
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
            // A special token that is already in the vocabulary keeps its id.
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
