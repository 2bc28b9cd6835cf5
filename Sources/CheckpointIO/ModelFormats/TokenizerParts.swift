import OrderedJSON

/// Members of a `tokenizer.json` that several readers write.
enum TokenizerParts {
    /// An entry of `added_tokens`.
    static func addedToken(id: Int, _ content: String, special: Bool, normalized: Bool = false) -> JSON {
        [
            "id": .integer(id), "content": .string(content), "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": .bool(normalized), "special": .bool(special),
        ]
    }

    /// The post-processor that puts tokens around every text; nil for none.
    static func template(
        beginning: (token: String, id: Int)?, end: (token: String, id: Int)?
    ) -> JSON? {
        guard beginning != nil || end != nil else { return nil }
        func special(_ token: String, _ type: Int) -> JSON {
            ["SpecialToken": ["id": .string(token), "type_id": .integer(type)]]
        }
        func sequence(_ id: String, _ type: Int) -> [JSON] {
            [beginning.map { special($0.token, type) }, ["Sequence": ["id": .string(id), "type_id": .integer(type)]]]
                .compactMap { $0 } + (end.map { [special($0.token, type)] } ?? [])
        }
        var tokens = JSONObject()
        for (token, id) in [beginning, end].compactMap({ $0 }) {
            tokens[token] = ["id": .string(token), "ids": .array([.integer(id)]), "tokens": .array([.string(token)])]
        }
        return [
            "type": "TemplateProcessing", "single": .array(sequence("A", 0)),
            "pair": .array(sequence("A", 0) + sequence("B", 1)), "special_tokens": .object(tokens),
        ]
    }
}
