import OrderedJSON

/// The special tokens that `addSpecialTokens` puts around one sequence.
struct PostProcessor: Sendable {
    var prefix: [Int] = []
    var suffix: [Int] = []

    /// - Parameter json: null for none.
    init(_ json: JSON, at place: String = "post_processor") throws {
        guard !json.isNull else { return }
        var component = try Component(json, at: place)
        let type = try component.string("type")
        switch type {
        case "ByteLevel":
            // Moves offsets only.
            component.ignore("add_prefix_space", "trim_offsets", "use_regex")
        case "Sequence":
            for (index, part) in try component.array("processors").enumerated() {
                let inner = try PostProcessor(part, at: "\(place).processors[\(index)]")
                prefix = inner.prefix + prefix
                suffix += inner.suffix
            }
        case "TemplateProcessing":
            let template = try component.array("single")
            let tokens = try component.object("special_tokens")
            component.ignore("pair")
            try readTemplate(template, tokens, component)
        default: throw component.unsupported("the post-processor \"\(type.prefix(60))\"")
        }
        try component.finish()
    }

    private mutating func readTemplate(_ template: [JSON], _ tokens: JSONObject, _ component: Component) throws {
        var sequenceSeen = false
        for (index, piece) in template.enumerated() {
            let place = "\(component.place).single[\(index)]"
            if let sequence = piece["Sequence"] {
                guard sequence["id"]?.string == "A", !sequenceSeen else {
                    throw TokenizerError.unsupported(place: place, what: "a template with other than one sequence A")
                }
                sequenceSeen = true
            } else if let name = piece["SpecialToken"]?["id"]?.string {
                guard let ids = tokens[name]?["ids"]?.array?.map(\.int), !ids.contains(nil),
                    ids.allSatisfy({ (0...VocabularyReader.highestID).contains($0!) })
                else {
                    throw TokenizerError.malformed(place: place, reason: "\"\(name)\" has no ids in special_tokens")
                }
                if sequenceSeen { suffix += ids.compactMap(\.self) } else { prefix += ids.compactMap(\.self) }
            } else {
                throw TokenizerError.malformed(place: place, reason: "is neither a sequence nor a special token")
            }
        }
        guard sequenceSeen else {
            throw TokenizerError.unsupported(place: component.place, what: "a template without the sequence A")
        }
    }
}
