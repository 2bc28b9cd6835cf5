import DataFiles
import OrderedJSON

public typealias DataFileError = DataFiles.DataFileError

/// The fields that rows were read from.
package final class FieldUses {
    package fileprivate(set) var names: Set<String> = []

    package init() {}
}

/// One row of a data file, whose fields have the names that readers know.
struct DataRow {
    let path: String
    let position: RowPosition
    let members: JSONObject
    /// Collects the fields that are read; nil if nobody asks.
    var uses: FieldUses?

    init(path: String, position: RowPosition, members: JSONObject, uses: FieldUses? = nil) {
        self.path = path
        self.position = position
        self.members = members
        self.uses = uses
    }

    /// The line, element or row, from 1.
    var number: Int { position.number }
    var place: String { position.description }
    var origin: RowOrigin { RowOrigin(path: path, position: position) }

    func error(_ reason: String) -> DataFileError { DataFileError(path: path, place: place, reason: reason) }

    /// The value of a field; nil if there is none or it is null.
    subscript(key: String) -> JSON? {
        guard let value = members[key], !value.isNull else { return nil }
        uses?.names.insert(key)
        return value
    }

    /// The string or the number literal under a key.
    func text(_ key: String) throws -> String? {
        guard let value = self[key] else { return nil }
        guard let text = value.plainText else {
            throw error("\"\(key)\" is \(value.kindName); it must be a string or a number")
        }
        return text
    }

    /// The text under the first of these keys that exists.
    func text(anyOf keys: [String]) throws -> String? {
        for key in keys { if let text = try text(key) { return text } }
        return nil
    }
}

extension JSON {
    /// The content of a string, or the literal of a number without a trailing `.0`.
    var plainText: String? {
        switch self {
        case .string(let text): return text
        case .number(let literal): return literal.hasSuffix(".0") ? String(literal.dropLast(2)) : literal
        default: return nil
        }
    }
}
