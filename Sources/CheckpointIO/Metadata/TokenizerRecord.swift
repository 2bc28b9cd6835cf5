/// The tokenizer's files, its added tokens, and the ids of the control tokens.
public struct TokenizerRecord: Sendable, Equatable {
    /// `tokenizer.json`, byte for byte.
    public var json: [UInt8]
    /// `tokenizer_config.json`, verbatim.
    public var config: String?
    public var addedTokens: [AddedTokenRecord]
    /// The id of `<think>`.
    public var thinkID: Int?
    /// The id of `</think>`.
    public var thinkEndID: Int?
    /// The id of `<short>`.
    public var shortID: Int?

    public init(
        json: [UInt8], config: String? = nil, addedTokens: [AddedTokenRecord] = [], thinkID: Int? = nil,
        thinkEndID: Int? = nil, shortID: Int? = nil
    ) {
        self.json = json
        self.config = config
        self.addedTokens = addedTokens
        self.thinkID = thinkID
        self.thinkEndID = thinkEndID
        self.shortID = shortID
    }
}

/// A row of the table of added tokens.
public struct AddedTokenRecord: Sendable, Equatable {
    public var id: Int
    public var content: String
    public var special: Bool
    /// False until training has updated the token's embedding row.
    public var trained: Bool

    public init(id: Int, content: String, special: Bool, trained: Bool) {
        self.id = id
        self.content = content
        self.special = special
        self.trained = trained
    }
}

extension TokenizerRecord {
    private static let table = "/tokenizer/added_tokens"

    init?(from records: RecordReader) throws {
        guard records.groups.contains("/tokenizer") else { return nil }
        guard let json = records.values["/tokenizer/json"], json.type == .element(.uint8), json.shape?.count == 1 else {
            throw records.damaged("/tokenizer/json", "is not an array of bytes")
        }
        let ids = try records.counters(Self.table + "/id")
        let contents = try records.texts(Self.table + "/content")
        let special = try records.booleans(Self.table + "/special")
        let trained = try records.booleans(Self.table + "/trained")
        guard [contents.count, special.count, trained.count].allSatisfy({ $0 == ids.count }) else {
            throw records.damaged(Self.table, "its columns differ in length")
        }
        let tokens = ids.indices.map {
            AddedTokenRecord(id: ids[$0], content: contents[$0], special: special[$0], trained: trained[$0])
        }
        self.init(
            json: json.bytes, config: try records.optionalText("/tokenizer/config"), addedTokens: tokens,
            thinkID: try records.optionalCounter("/tokenizer@think_id"),
            thinkEndID: try records.optionalCounter("/tokenizer@think_end_id"),
            shortID: try records.optionalCounter("/tokenizer@short_id"))
    }

    func write(to records: inout RecordWriter) {
        records.group("/tokenizer")
        let json = HDF5Value(type: .element(.uint8), shape: [json.count], bytes: json)
        records.dataset("/tokenizer/json", json, isCompressed: true)
        records.dataset("/tokenizer/config", text: config)
        records.group(Self.table)
        records.dataset(Self.table + "/id", .integers(addedTokens.map(\.id)))
        records.dataset(Self.table + "/content", texts: addedTokens.map(\.content))
        records.dataset(Self.table + "/special", .booleans(addedTokens.map(\.special)))
        records.dataset(Self.table + "/trained", .booleans(addedTokens.map(\.trained)))
        records.attribute("/tokenizer", "think_id", integer: thinkID)
        records.attribute("/tokenizer", "think_end_id", integer: thinkEndID)
        records.attribute("/tokenizer", "short_id", integer: shortID)
    }
}
