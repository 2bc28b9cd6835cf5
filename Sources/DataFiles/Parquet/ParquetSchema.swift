import OrderedJSON

/// A column or a group of columns of a Parquet file.
struct ParquetNode {
    indirect enum Kind {
        case column(ParquetColumn)
        case group([ParquetNode])
        /// Levels at which the list has a further element.
        case list(element: ParquetNode, definition: Int, repetition: Int)
        case map(key: ParquetNode, value: ParquetNode?, definition: Int, repetition: Int)
    }

    let name: String
    /// The definition level from which the value is not null.
    let definition: Int
    /// The indices of its columns.
    let columns: Range<Int>
    let kind: Kind
}

/// A column with values.
struct ParquetColumn {
    /// The names from the root, joined by dots.
    let path: String
    /// 0 boolean, 1 int32, 2 int64, 3 int96, 4 float, 5 double, 6 byte array, 7 fixed length.
    let type: Int
    /// The bytes of a value of fixed length.
    let length: Int
    let annotation: ParquetAnnotation?
    let index: Int
    let maximumDefinition: Int
    let maximumRepetition: Int
}

/// The columns of a file as a tree.
struct ParquetSchema {
    private(set) var fields: [ParquetNode] = []
    private(set) var columns: [ParquetColumn] = []

    private static let maximumDepth = 64

    private struct Levels {
        var definition = 0
        var repetition = 0
        var path: [String] = []

        /// The path for messages.
        var name: String { path.joined(separator: ".").onOneLine(limit: 80) }
    }

    /// - Throws: `FormatProblem`.
    init(_ elements: [ParquetSchemaElement]) throws {
        guard let root = elements.first else { throw FormatProblem("the footer has no schema") }
        var rest = elements.dropFirst()
        fields = try children(root.childCount, &rest, Levels())
        guard rest.isEmpty else { throw FormatProblem("the schema has elements without a parent") }
    }

    private mutating func children(
        _ count: Int, _ rest: inout ArraySlice<ParquetSchemaElement>, _ levels: Levels
    ) throws -> [ParquetNode] {
        guard count > 0, count <= rest.count else {
            throw FormatProblem("the group \"\(levels.name)\" has no columns")
        }
        var nodes: [ParquetNode] = []
        for _ in 0..<count { nodes.append(try node(&rest, levels)) }
        guard Set(nodes.map { Array($0.name.utf8) }).count == count else {
            throw FormatProblem("two columns have the same name")
        }
        return nodes
    }

    private mutating func node(_ rest: inout ArraySlice<ParquetSchemaElement>, _ outer: Levels) throws -> ParquetNode {
        guard outer.path.count < Self.maximumDepth, let element = rest.popFirst() else {
            throw FormatProblem("the schema is damaged or nested too deeply")
        }
        var levels = outer
        levels.path.append(element.name)
        let first = columns.count
        switch element.repetition {
        case 0: return try present(element, &rest, levels)
        case 1:
            levels.definition += 1
            return try present(element, &rest, levels)
        case 2:
            // A repeated field without an annotated group around it is a list without nulls.
            levels.definition += 1
            levels.repetition += 1
            let inner = try present(element, &rest, levels)
            return ParquetNode(
                name: element.name, definition: outer.definition, columns: first..<columns.count,
                kind: .list(element: inner, definition: levels.definition, repetition: levels.repetition))
        default: throw FormatProblem("the schema is damaged")
        }
    }

    /// The node of an element whose own levels are in `levels`.
    private mutating func present(
        _ element: ParquetSchemaElement, _ rest: inout ArraySlice<ParquetSchemaElement>, _ levels: Levels
    ) throws -> ParquetNode {
        let first = columns.count
        let kind: ParquetNode.Kind
        if let type = element.type {
            guard element.childCount == 0, (0...7).contains(type), type != 7 || (1...1 << 20).contains(element.length)
            else { throw FormatProblem("the type of column \"\(levels.name)\" is damaged") }
            let column = ParquetColumn(
                path: levels.path.joined(separator: "."), type: type, length: element.length,
                annotation: element.annotation, index: first, maximumDefinition: levels.definition,
                maximumRepetition: levels.repetition)
            columns.append(column)
            kind = .column(column)
        } else if element.annotation == .list, element.childCount == 1,
            let repeated = rest.first, repeated.repetition == 2
        {
            kind = try list(element, &rest, levels)
        } else if element.annotation == .map, element.childCount == 1,
            let entry = rest.first, entry.repetition == 2, entry.type == nil, (1...2).contains(entry.childCount)
        {
            var levels = levels
            (levels.definition, levels.repetition) = (levels.definition + 1, levels.repetition + 1)
            levels.path.append(entry.name)
            rest.removeFirst()
            let parts = try children(entry.childCount, &rest, levels)
            kind = .map(
                key: parts[0], value: parts.count == 2 ? parts[1] : nil, definition: levels.definition,
                repetition: levels.repetition)
        } else {
            kind = .group(try children(element.childCount, &rest, levels))
        }
        return ParquetNode(
            name: element.name, definition: levels.definition, columns: first..<columns.count, kind: kind)
    }

    /// A list in the three-level form of the standard, or in one of the older forms with two levels.
    private mutating func list(
        _ element: ParquetSchemaElement, _ rest: inout ArraySlice<ParquetSchemaElement>, _ outer: Levels
    ) throws -> ParquetNode.Kind {
        guard let repeated = rest.popFirst() else { throw FormatProblem("the schema is damaged") }
        var levels = outer
        (levels.definition, levels.repetition) = (levels.definition + 1, levels.repetition + 1)
        levels.path.append(repeated.name)
        let isElement =
            repeated.type != nil || repeated.childCount != 1 || repeated.annotation == .list
            || repeated.annotation == .map || repeated.name == "array" || repeated.name == element.name + "_tuple"
            || rest.first?.repetition == 2
        let inner = isElement ? try present(repeated, &rest, levels) : try children(1, &rest, levels)[0]
        return .list(element: inner, definition: levels.definition, repetition: levels.repetition)
    }
}
