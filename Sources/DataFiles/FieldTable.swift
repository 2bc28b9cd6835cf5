import OrderedJSON

/// The fields of a file: their types, and how many rows have them.
package struct FieldTable: Sendable {
    /// A field, named by its path: `a.b` of an object, `a[]` for the elements of a list.
    package struct Field: Sendable, Equatable {
        package let path: String
        /// The types that occur, in the order in which they were met.
        package fileprivate(set) var types: [String]
        /// The rows in which the field is not null.
        package fileprivate(set) var rows: Int
        /// The name of the column or member of the row.
        package let column: String
        fileprivate var lastRow = -1
    }

    /// Fields beyond this are counted only.
    private static let maximumFields = 1000
    private static let maximumDepth = 8

    package private(set) var fields: [Field] = []
    package private(set) var rowCount = 0
    /// The fields that are left out because there are too many.
    package private(set) var leftOut = 0
    private var places: [String: Int] = [:]

    package init() {}

    /// Adds the fields of a row.
    package mutating func add(_ row: JSONObject) {
        for (key, value) in row { add(value, path: key, column: key, depth: 0) }
        rowCount += 1
    }

    private mutating func add(_ value: JSON, path: String, column: String, depth: Int) {
        count(path, column, value)
        guard depth < Self.maximumDepth else { return }
        switch value {
        case .object(let members):
            for (key, value) in members { add(value, path: path + "." + key, column: column, depth: depth + 1) }
        case .array(let elements):
            let inner = path + "[]"
            for element in elements { add(element, path: inner, column: column, depth: depth + 1) }
        default: break
        }
    }

    private mutating func count(_ path: String, _ column: String, _ value: JSON) {
        let place: Int
        if let known = places[path] {
            place = known
        } else {
            guard fields.count < Self.maximumFields else {
                leftOut += 1
                return
            }
            place = fields.count
            places[path] = place
            fields.append(Field(path: path, types: [], rows: 0, column: column))
        }
        guard let type = value.typeName else { return }
        if !fields[place].types.contains(type) { fields[place].types.append(type) }
        if fields[place].lastRow != rowCount {
            fields[place].lastRow = rowCount
            fields[place].rows += 1
        }
    }
}

extension JSON {
    /// The type of a field's value; nil for null.
    fileprivate var typeName: String? {
        switch self {
        case .null: nil
        case .bool: "boolean"
        case .number(let literal):
            literal.utf8.allSatisfy { $0 == 0x2D || (0x30...0x39).contains($0) } ? "integer" : "number"
        case .string: "text"
        case .array: "list"
        case .object: "object"
        }
    }
}
