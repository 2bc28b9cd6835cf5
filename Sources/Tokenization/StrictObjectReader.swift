import OrderedJSON

/// Reads an object of `tokenizer.json` and rejects members that nobody read.
///
/// An unknown option could change ids, so `finish` throws if any member is left over.
struct StrictObjectReader {
    let place: String
    private let members: JSONObject
    private var known: Set<String> = []

    init(_ json: JSON, at place: String) throws {
        guard let members = json.object else {
            throw TokenizerError.malformed(place: place, reason: "expected an object, found \(json.kindName)")
        }
        self.place = place
        self.members = members
    }

    private mutating func value(_ key: String) -> JSON? {
        known.insert(key)
        return members[key]
    }

    func wrong(_ key: String, _ expected: String) -> TokenizerError {
        .malformed(
            place: "\(place).\(key)", reason: "expected \(expected), found \(members[key]?.kindName ?? "nothing")")
    }

    /// The member, or nil if it is missing or null.
    mutating func optional(_ key: String) -> JSON? {
        guard let value = value(key), !value.isNull else { return nil }
        return value
    }

    mutating func string(_ key: String) throws -> String {
        guard let text = value(key)?.string else { throw wrong(key, "a string") }
        return text
    }

    mutating func bool(_ key: String, default fallback: Bool) throws -> Bool {
        guard let value = optional(key) else { return fallback }
        guard let bool = value.bool else { throw wrong(key, "true or false") }
        return bool
    }

    mutating func array(_ key: String) throws -> [JSON] {
        guard let array = value(key)?.array else { throw wrong(key, "an array") }
        return array
    }

    mutating func object(_ key: String) throws -> JSONObject {
        guard let object = value(key)?.object else { throw wrong(key, "an object") }
        return object
    }

    mutating func integer(_ key: String) throws -> Int {
        guard let integer = value(key)?.int else { throw wrong(key, "an integer") }
        return integer
    }

    /// Accepts members that do not affect ids.
    mutating func ignore(_ keys: String...) { known.formUnion(keys) }

    /// Checks that every member has been read.
    ///
    /// - Throws: `TokenizerError.unsupported` with the first unread member.
    func finish() throws {
        for key in members.keys where !known.contains(key) {
            throw TokenizerError.unsupported(place: place, what: "the member \"\(key.prefix(60))\"")
        }
    }

    func unsupported(_ what: String) -> TokenizerError { .unsupported(place: place, what: what) }
}
