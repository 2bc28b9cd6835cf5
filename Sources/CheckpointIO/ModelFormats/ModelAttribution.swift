import OrderedJSON

/// What a model's publisher says about it: license, authors, base models, languages.
///
/// It is read from the front matter of a model card or from the `general` keys of a GGUF file, kept in the report of
/// the import's lineage entry, and written by exports.
public struct ModelAttribution: Sendable, Equatable {
    /// The license's identifier, for example `apache-2.0`.
    public var license: String?
    public var licenseName: String?
    public var licenseLink: String?
    public var authors: [String] = []
    public var organization: String?
    /// Models that this one was made from, where known as `organization/name`.
    public var baseModels: [String] = []
    public var datasets: [String] = []
    /// ISO codes of languages.
    public var languages: [String] = []
    public var tags: [String] = []

    public var isEmpty: Bool { self == ModelAttribution() }

    /// Texts in lists that are kept, and characters of each.
    static let limits = (count: 100, length: 500)

    /// The fields in the order of a model card.
    private static let texts: [(key: String, field: WritableKeyPath<Self, String?> & Sendable)] = [
        ("license", \.license), ("license_name", \.licenseName), ("license_link", \.licenseLink),
        ("organization", \.organization),
    ]
    private static let lists: [(key: String, field: WritableKeyPath<Self, [String]> & Sendable)] = [
        ("authors", \.authors), ("language", \.languages), ("base_model", \.baseModels), ("datasets", \.datasets),
        ("tags", \.tags),
    ]

    init() {}

    /// Takes the fields that the front matter of a model card has.
    init(frontMatter: [String: [String]]) {
        for (key, field) in Self.texts { self[keyPath: field] = frontMatter[key]?.first }
        for (key, field) in Self.lists { self[keyPath: field] = frontMatter[key] ?? [] }
    }

    /// The attribution that the oldest import of a lineage reported.
    public init(lineage: [String]) {
        let imported = lineage.lazy.compactMap { LineageEntry(text: $0) }.first { $0.operation == "import" }
        let stored = imported?.report["attribution"]?.object ?? JSONObject()
        var fields: [String: [String]] = [:]
        for (key, value) in stored {
            let list = value.string.map { [$0] } ?? value.array?.compactMap(\.string) ?? []
            fields[key] = list.prefix(Self.limits.count).map { String($0.prefix(Self.limits.length)) }
        }
        self.init(frontMatter: fields)
    }

    /// The fields as in a model card, without empty ones; a list of one as its text.
    public var json: JSON {
        var object = JSONObject()
        for (key, values) in fields {
            object[key] = values.count == 1 ? .string(values[0]) : .array(values.map(JSON.string))
        }
        return .object(object)
    }

    /// The fields that have values.
    var fields: [(key: String, values: [String])] {
        let all =
            Self.texts.map { ($0.key, self[keyPath: $0.field].map { [$0] } ?? []) }
            + Self.lists.map { ($0.key, self[keyPath: $0.field]) }
        return all.filter { !$0.1.isEmpty }
    }
}
