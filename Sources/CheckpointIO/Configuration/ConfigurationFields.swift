import OrderedJSON

/// Typed access to the fields of a config.json, or of an object in it.
struct ConfigurationFields {
    let members: JSONObject
    /// The class in transformers that reads the fields, for messages.
    var reader = "transformers"

    init(_ members: JSONObject) { self.members = members }

    /// The fields that the family's class does not read, in the order of the file.
    ///
    /// - Throws: `ConfigurationError.unsupportedField` for a field that it reads and ckpt does not implement.
    func unread(_ traits: FamilyTraits) throws -> [String] {
        try members.compactMap { name, value in
            if FamilyTraits.common.contains(name) || traits.fields.contains(name) { return nil }
            if FamilyTraits.bookkeeping.contains(name) { return nil }
            guard let off = FamilyTraits.switchedOff[name] else { return name }
            guard off.contains(value) else { throw unsupported(name) }
            return nil
        }
    }

    func isAbsent(_ name: String) -> Bool { members[name]?.isNull ?? true }

    func unsupported(_ name: String, in place: String? = nil) -> ConfigurationError {
        let value = members[name] ?? .null
        let text = value.serialized()
        return .unsupportedField(
            place.map { $0 + "." + name } ?? name, value: text.count > 60 ? value.kindName : text, reader: reader)
    }

    func text(_ name: String) throws -> String {
        guard let value = members[name] else { throw ConfigurationError.missing(field: name) }
        guard let text = value.string else {
            throw ConfigurationError.wrongKind(field: name, expected: "a string", found: value.kindName)
        }
        return text
    }

    func count(_ name: String, atMost limit: Int) throws -> Int { try number(name, atLeast: 1, atMost: limit) }

    func number(_ name: String, atLeast least: Int, atMost limit: Int) throws -> Int {
        guard let value = members[name] else { throw ConfigurationError.missing(field: name) }
        guard case .number(let literal) = value else {
            throw ConfigurationError.wrongKind(field: name, expected: "a whole number", found: value.kindName)
        }
        guard let count = value.int, (least...limit).contains(count) else {
            throw ConfigurationError.outOfRange(
                field: name, value: literal, allowed: "a whole number from \(least) to \(limit)")
        }
        return count
    }

    func positive(_ name: String) throws -> Double? {
        guard let value = members[name], !value.isNull else { return nil }
        guard let number = value.double else {
            throw ConfigurationError.wrongKind(field: name, expected: "a number", found: value.kindName)
        }
        guard number > 0, number.isFinite else {
            throw ConfigurationError.outOfRange(field: name, value: value.serialized(), allowed: "greater than zero")
        }
        return number
    }

    func flag(_ name: String) throws -> Bool? {
        guard let value = members[name], !value.isNull else { return nil }
        guard let flag = value.bool else {
            throw ConfigurationError.wrongKind(field: name, expected: "a boolean", found: value.kindName)
        }
        return flag
    }

    func tokenIDs(_ name: String) throws -> [Int] {
        guard let value = members[name], !value.isNull else { return [] }
        let values = value.array ?? [value]
        return try values.map {
            guard let id = $0.int, id >= 0 else {
                throw ConfigurationError.wrongKind(
                    field: name, expected: "a token id or a list of them", found: $0.kindName)
            }
            return id
        }
    }

    func require(_ name: String, toBe accepted: [String]) throws {
        guard let value = members[name], !value.isNull else { return }
        guard accepted.contains(where: { value.string == $0 }) else { throw unsupported(name) }
    }
}
