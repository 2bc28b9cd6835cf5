import OrderedJSON

/// License, authors, base models and languages in the `general` keys of a GGUF file.
extension ModelAttribution {
    private static let huggingFace = "https://huggingface.co/"

    /// Reads the keys; a key of another type than usual is passed over.
    init(_ keys: GGUFMetadata) {
        self.init()
        func text(_ key: String) -> String? {
            guard let value = try? keys.string("general." + key), !value.isEmpty else { return nil }
            return String(value.prefix(Self.limits.length))
        }
        func list(_ key: String) -> [String] {
            let values = (try? keys.strings("general." + key)) ?? []
            return values.prefix(Self.limits.count).map { String($0.prefix(Self.limits.length)) }
        }
        /// Names of models or data sets that are described by several keys each.
        func named(_ key: String) -> [String] {
            let count = min((try? keys.integer("general.\(key).count")) ?? 0, Self.limits.count)
            return (0..<max(0, count)).compactMap { index in
                if let url = text("\(key).\(index).repo_url"), url.hasPrefix(Self.huggingFace) {
                    let path = url.dropFirst(Self.huggingFace.count)
                    return String(path.hasPrefix("datasets/") ? path.dropFirst("datasets/".count) : path)
                }
                guard let name = text("\(key).\(index).name") else { return nil }
                return text("\(key).\(index).organization").map { "\($0)/\(name)" } ?? name
            }
        }
        license = text("license")
        licenseName = text("license.name")
        licenseLink = text("license.link")
        authors = text("author").map { [$0] } ?? []
        organization = text("organization")
        baseModels = named("base_model")
        datasets = named("dataset")
        languages = list("languages")
        tags = list("tags")
    }

    func add(to header: inout GGUFHeaderWriter) throws {
        func text(_ key: String, _ value: String?) { if let value { header.add("general." + key, value) } }
        func named(_ key: String, _ values: [String]) throws {
            guard !values.isEmpty else { return }
            try header.add("general.\(key).count", values.count)
            for (index, value) in values.enumerated() {
                let parts = value.split(separator: "/", maxSplits: 1).map(String.init)
                text("\(key).\(index).name", parts.last)
                guard parts.count == 2 else { continue }
                text("\(key).\(index).organization", parts[0])
                text("\(key).\(index).repo_url", Self.huggingFace + (key == "dataset" ? "datasets/" : "") + value)
            }
        }
        text("author", authors.isEmpty ? nil : authors.joined(separator: ", "))
        text("organization", organization)
        text("license", license)
        text("license.name", licenseName)
        text("license.link", licenseLink)
        try named("base_model", baseModels)
        try named("dataset", datasets)
        if !tags.isEmpty { header.add("general.tags", tags) }
        if !languages.isEmpty { header.add("general.languages", languages) }
    }
}
