import OrderedJSON

/// Members of `tokenizer_config.json` by which transformers changes a tokenizer after loading its `tokenizer.json`.
enum ExportedTokenizerMembers {
    private static let roles = [
        "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
    ]

    /// Sets the members so that transformers 4 and 5 use `tokenizer.json` unchanged.
    static func adjust(_ config: inout JSON, to tokenizer: JSON) throws {
        // transformers 5 rebuilds the post-processor if it finds one of these.
        let (prefix, suffix) = surroundings(tokenizer["post_processor"])
        let flags = ["add_bos_token": ("bos_token", prefix), "add_eos_token": ("eos_token", suffix)]
        if flags.keys.contains(where: { config[$0] != nil }) {
            let fits = flags.values.allSatisfy { role, tokens in
                tokens.isEmpty || tokens == [text(config[role])].compactMap { $0 }
            }
            for (flag, (_, tokens)) in flags { config[flag] = fits ? .bool(!tokens.isEmpty) : nil }
        }
        // transformers 4 sets ByteLevel's option to this one.
        if let addsSpace = tokenizer["pre_tokenizer"]?["add_prefix_space"]?.bool {
            config["add_prefix_space"] = .bool(addsSpace)
        }
        // It would add these as new tokens, without a row in the model.
        for role in roles {
            guard let text = text(config[role]), !isToken(text, tokenizer) else { continue }
            config[role] = nil
        }
    }

    private static func text(_ value: JSON?) -> String? { value?.string ?? value?["content"]?.string }

    private static func isToken(_ text: String, _ tokenizer: JSON) -> Bool {
        let added = (tokenizer["added_tokens"]?.array ?? []).map { $0["content"] }
        let listed = (tokenizer["model"]?["vocab"]?.array ?? []).lazy.map { $0.array?.first }
        return tokenizer["model"]?["vocab"]?.object?[text] != nil
            || added.contains { $0?.string?.utf8.elementsEqual(text.utf8) ?? false }
            || listed.contains { $0?.string?.utf8.elementsEqual(text.utf8) ?? false }
    }

    /// The tokens that a post-processor puts before and after a text.
    private static func surroundings(_ processor: JSON?) -> (prefix: [String], suffix: [String]) {
        var result: (prefix: [String], suffix: [String]) = ([], [])
        for part in processor?["processors"]?.array ?? [processor].compactMap({ $0 }) {
            var isAfter = false
            for piece in part["single"]?.array ?? [] {
                if piece["Sequence"] != nil { isAfter = true }
                guard let token = piece["SpecialToken"]?["id"]?.string else { continue }
                if isAfter { result.suffix.append(token) } else { result.prefix.append(token) }
            }
        }
        return result
    }
}
