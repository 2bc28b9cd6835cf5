/// One element of the schema in the footer, in depth-first order.
struct ParquetSchemaElement {
    var type: Int?
    var length = 0
    /// 0 required, 1 optional, 2 repeated.
    var repetition = 0
    var name = ""
    var childCount = 0
    var convertedType: Int?
    var scale = 0
    var annotation: ParquetAnnotation?
}

/// What a column or a group means, from its logical type.
enum ParquetAnnotation: Equatable {
    case string, map, list, decimal(scale: Int), date, time(ParquetTimeUnit), timestamp(ParquetTimeUnit, isUTC: Bool)
    case integer(bits: Int, isSigned: Bool)
    case uuid, float16
    case other
}

enum ParquetTimeUnit: Int { case milliseconds = 3, microseconds = 6, nanoseconds = 9 }

/// The pages of one column in a row group.
struct ParquetColumnChunk {
    var type = 0
    var codec = 0
    var valueCount = 0
    var byteCount = 0
    var start = 0
    var isEncrypted = false
}

/// The footer of a Parquet file.
struct ParquetMetadata {
    private(set) var schema: [ParquetSchemaElement] = []
    private(set) var rowCount = 0
    private(set) var groups: [(columns: [ParquetColumnChunk], rowCount: Int)] = []

    /// - Throws: `FormatProblem`.
    init(_ bytes: [UInt8]) throws {
        var reader = ThriftReader(bytes)
        var isEncrypted = false
        try reader.structure { (reader, field) throws in
            switch field.id {
            case 2: try reader.list(field) { (reader, field) throws in schema.append(try Self.element(&reader, field)) }
            case 3: rowCount = try reader.integer(field)
            case 4: try reader.list(field) { (reader, field) throws in groups.append(try Self.group(&reader, field)) }
            case 8:
                isEncrypted = true
                try reader.skip(field)
            default: try reader.skip(field)
            }
        }
        if isEncrypted { throw FormatProblem("columns are encrypted; decrypt the file") }
        let counts = groups.map(\.rowCount)
        guard rowCount >= 0, counts.allSatisfy({ (0...rowCount).contains($0) }),
            counts.reduce(0, { $0 &+ $1 }) == rowCount
        else { throw FormatProblem("the numbers of rows in the footer differ") }
    }

    private static func element(
        _ reader: inout ThriftReader, _ field: ThriftReader.Field
    ) throws -> ParquetSchemaElement {
        var element = ParquetSchemaElement()
        try reader.structure(field) { (reader, field) throws in
            switch field.id {
            case 1: element.type = try reader.integer(field)
            case 2: element.length = try reader.integer(field)
            case 3: element.repetition = try reader.integer(field)
            case 4: element.name = try reader.text(field)
            case 5: element.childCount = try reader.integer(field)
            case 6: element.convertedType = try reader.integer(field)
            case 7: element.scale = try reader.integer(field)
            case 10: element.annotation = try ParquetAnnotation(&reader, field)
            default: try reader.skip(field)
            }
        }
        if element.annotation == nil {
            element.annotation = element.convertedType.flatMap {
                ParquetAnnotation(converted: $0, scale: element.scale)
            }
        }
        return element
    }

    private static func group(
        _ reader: inout ThriftReader, _ field: ThriftReader.Field
    ) throws -> (columns: [ParquetColumnChunk], rowCount: Int) {
        var group: (columns: [ParquetColumnChunk], rowCount: Int) = ([], 0)
        try reader.structure(field) { (reader, field) throws in
            switch field.id {
            case 1: try reader.list(field) { (reader, field) throws in group.columns.append(try chunk(&reader, field)) }
            case 3: group.rowCount = try reader.integer(field)
            default: try reader.skip(field)
            }
        }
        return group
    }

    private static func chunk(_ reader: inout ThriftReader, _ field: ThriftReader.Field) throws -> ParquetColumnChunk {
        var chunk = ParquetColumnChunk()
        var (data, dictionary) = (0, 0)
        try reader.structure(field) { (reader, field) throws in
            switch field.id {
            case 1: throw FormatProblem("columns are in another file; write one file")
            case 3:
                try reader.structure(field) { (reader, field) throws in
                    switch field.id {
                    case 1: chunk.type = try reader.integer(field)
                    case 4: chunk.codec = try reader.integer(field)
                    case 5: chunk.valueCount = try reader.integer(field)
                    case 7: chunk.byteCount = try reader.integer(field)
                    case 9: data = try reader.integer(field)
                    case 11: dictionary = try reader.integer(field)
                    default: try reader.skip(field)
                    }
                }
            case 8, 9:
                chunk.isEncrypted = true
                try reader.skip(field)
            default: try reader.skip(field)
            }
        }
        chunk.start = dictionary > 0 ? min(dictionary, data) : data
        return chunk
    }
}

extension ParquetAnnotation {
    /// Reads a logical type.
    ///
    /// - Throws: `FormatProblem`.
    fileprivate init(_ reader: inout ThriftReader, _ field: ThriftReader.Field) throws {
        var annotation = ParquetAnnotation.other
        try reader.structure(field) { (reader, field) throws in
            var numbers: [Int: Int] = [:]
            try reader.structure(field) { (reader, field) throws in
                switch field.type {
                case 1, 2: numbers[field.id] = try reader.bool(field) ? 1 : 0
                case 3, 4, 5, 6: numbers[field.id] = try reader.integer(field)
                case 12:
                    // The unit of a time is a union of empty structures.
                    try reader.structure(field) { (reader, unit) throws in
                        numbers[field.id] = unit.id
                        try reader.skip(unit)
                    }
                default: try reader.skip(field)
                }
            }
            let unit = [1: ParquetTimeUnit.milliseconds, 2: .microseconds, 3: .nanoseconds][numbers[2] ?? 0]
            switch field.id {
            case 1, 4, 12: annotation = .string
            case 2: annotation = .map
            case 3: annotation = .list
            case 5: annotation = .decimal(scale: numbers[1] ?? 0)
            case 6: annotation = .date
            case 7: annotation = unit.map(Self.time) ?? .other
            case 8: annotation = unit.map { .timestamp($0, isUTC: numbers[1] == 1) } ?? .other
            case 10: annotation = .integer(bits: numbers[1] ?? 0, isSigned: numbers[2] == 1)
            case 14: annotation = .uuid
            case 15: annotation = .float16
            default: annotation = .other
            }
        }
        self = annotation
    }

    /// A type of files without logical types; nil for those that add nothing.
    fileprivate init?(converted: Int, scale: Int) {
        switch converted {
        case 0, 4, 19: self = .string
        case 1, 2: self = .map
        case 3: self = .list
        case 5: self = .decimal(scale: scale)
        case 6: self = .date
        case 7: self = .time(.milliseconds)
        case 8: self = .time(.microseconds)
        case 9: self = .timestamp(.milliseconds, isUTC: true)
        case 10: self = .timestamp(.microseconds, isUTC: true)
        case 11...14: self = .integer(bits: 8 << (converted - 11), isSigned: false)
        case 15...18: self = .integer(bits: 8 << (converted - 15), isSigned: true)
        default: return nil
        }
    }
}
