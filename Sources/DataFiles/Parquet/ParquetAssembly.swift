import OrderedJSON

/// Puts the value of a field together from its columns, by their levels.
struct ParquetAssembly {
    /// The most values of a row.
    private static let maximumValues = 1 << 20

    private var values = 0
    private var textBytes = 0
    private var limit = ExpansionLimit()

    mutating func startRow() { (values, textBytes) = (0, 0) }

    /// Counts the texts of a row.
    ///
    /// - Throws: `FormatProblem` if the rows are out of proportion to the file.
    mutating func checkExpansion(from size: Int) throws { try limit.add(textBytes, from: size) }

    /// Takes the value of one row, or of one element of a list.
    ///
    /// - Throws: `FormatProblem`.
    mutating func value(of node: ParquetNode, _ columns: [ParquetColumnPages]) throws -> JSON {
        if case .column(let column) = node.kind { return try take(column.index, columns) }
        guard try definition(of: node, columns) >= node.definition else { return try takeNull(node, columns) }
        switch node.kind {
        case .column(let column): return try take(column.index, columns)
        case .group(let children):
            var members = JSONObject()
            for child in children { members[child.name] = try value(of: child, columns) }
            return .object(members)
        case .list(let element, let definition, let repetition):
            var elements: [JSON] = []
            try forEachElement(of: node, definition, repetition, columns) { assembly in
                elements.append(try assembly.value(of: element, columns))
            }
            return .array(elements)
        case .map(let key, let value, let definition, let repetition):
            var entries: [(JSON, JSON)] = []
            try forEachElement(of: node, definition, repetition, columns) { assembly in
                let key = try assembly.value(of: key, columns)
                entries.append((key, try value.map { try assembly.value(of: $0, columns) } ?? .null))
            }
            return try Self.map(entries)
        }
    }

    private mutating func forEachElement(
        of node: ParquetNode, _ definition: Int, _ repetition: Int, _ columns: [ParquetColumnPages],
        _ body: (inout ParquetAssembly) throws -> Void
    ) throws {
        guard try self.definition(of: node, columns) >= definition else {
            _ = try takeNull(node, columns)
            return
        }
        repeat { try body(&self) } while try continues(node, repetition, columns)
    }

    /// An object if all keys are texts, otherwise a list of objects with `key` and `value`.
    private static func map(_ entries: [(JSON, JSON)]) throws -> JSON {
        let keys = entries.compactMap(\.0.string)
        guard keys.count == entries.count else {
            return .array(entries.map { .object(JSONObject([("key", $0.0), ("value", $0.1)])) })
        }
        let object = JSONObject(zip(keys, entries.map(\.1)).map { ($0, $1) })
        guard object.count == keys.count else { throw FormatProblem("a map has the same key twice") }
        return .object(object)
    }

    private mutating func take(_ index: Int, _ columns: [ParquetColumnPages]) throws -> JSON {
        let value = try columns[index].take()
        values += 1
        guard values <= Self.maximumValues else {
            throw FormatProblem("the row has more than \(Self.maximumValues) values")
        }
        if case .string(let text) = value { textBytes += text.utf8.count }
        return value
    }

    /// Takes the one value that stands for a null or an empty list in each column.
    private mutating func takeNull(_ node: ParquetNode, _ columns: [ParquetColumnPages]) throws -> JSON {
        for index in node.columns { _ = try take(index, columns) }
        return .null
    }

    /// The definition level of the next value, up to that of the node, which all columns share.
    private func definition(of node: ParquetNode, _ columns: [ParquetColumnPages]) throws -> Int {
        let limit = node.kind.level ?? node.definition
        var found: Int?
        for index in node.columns {
            let level = try columns[index].definition()
            guard found ?? min(level, limit) == min(level, limit) else {
                throw FormatProblem("the columns of a group differ in what is null")
            }
            found = min(level, limit)
        }
        return found ?? 0
    }

    /// Whether a list has a further element, which all columns must agree on.
    private func continues(_ node: ParquetNode, _ repetition: Int, _ columns: [ParquetColumnPages]) throws -> Bool {
        var found: Bool?
        for index in node.columns {
            let level = columns[index].repetition ?? 0
            guard level <= repetition, found ?? (level == repetition) == (level == repetition) else {
                throw FormatProblem("the columns of a list differ in its length")
            }
            found = level == repetition
        }
        return found ?? false
    }
}

extension ParquetNode.Kind {
    /// The definition level from which a list has an element.
    fileprivate var level: Int? {
        switch self {
        case .list(_, let definition, _), .map(_, _, let definition, _): definition
        default: nil
        }
    }
}
