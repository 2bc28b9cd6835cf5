import OrderedJSON

/// The special tokens that `addSpecialTokens` adds before and after a sequence.
struct PostProcessor: Sendable {
    var prefix: [Int] = []
    var suffix: [Int] = []

    /// Reads a post-processor; null adds nothing.
    init(_ json: JSON, at place: String = "post_processor") throws {
        guard !json.isNull else { return }
        var reader = try StrictObjectReader(json, at: place)
        let type = try reader.string("type")
        switch type {
        case "ByteLevel":
            // Only adjusts offsets.
            reader.ignore("add_prefix_space", "trim_offsets", "use_regex")
        case "Sequence":
            for (index, part) in try reader.array("processors").enumerated() {
                let inner = try PostProcessor(part, at: "\(place).processors[\(index)]")
                prefix = inner.prefix + prefix
                suffix += inner.suffix
            }
        case "TemplateProcessing":
            let template = try reader.array("single")
            let tokens = try reader.object("special_tokens")
            reader.ignore("pair")
            try readTemplate(template, tokens, reader)
        default: throw reader.unsupported("the post-processor \"\(type.prefix(60))\"")
        }
        try reader.finish()
    }

    private mutating func readTemplate(_ template: [JSON], _ tokens: JSONObject, _ reader: StrictObjectReader) throws {
        var sequenceSeen = false
        for (index, piece) in template.enumerated() {
            let place = "\(reader.place).single[\(index)]"
            if let sequence = piece["Sequence"] {
                guard sequence["id"]?.string == "A", !sequenceSeen else {
                    throw TokenizerError.unsupported(place: place, what: "a template with sequences other than one A")
                }
                sequenceSeen = true
            } else if let name = piece["SpecialToken"]?["id"]?.string {
                let listed = tokens[name]?["ids"]?.array
                let ids = (listed ?? []).compactMap(\.int)
                guard let listed, ids.count == listed.count, ids.allSatisfy(VocabularyReader.ids.contains) else {
                    throw TokenizerError.malformed(place: place, reason: "\"\(name)\" has no ids in special_tokens")
                }
                if sequenceSeen { suffix += ids } else { prefix += ids }
            } else {
                throw TokenizerError.malformed(place: place, reason: "is neither a sequence nor a special token")
            }
        }
        guard sequenceSeen else {
            throw TokenizerError.unsupported(place: reader.place, what: "a template without the sequence A")
        }
    }
}
