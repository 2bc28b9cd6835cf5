import OrderedJSON

/// The rows of a Parquet file, put together from its columns one at a time.
final class ParquetRows: RowSource {
    private static let maximumFooter = 512 << 20
    /// A file of a few bytes may state any number of rows that are all equal.
    private static let freeRows = 1 << 20
    private static let rowsPerByte = 16

    private let file: OpenFile
    private let size: Int
    private let metadata: ParquetMetadata
    private let schema: ParquetSchema
    /// The columns of the current row group.
    private var columns: [ParquetColumnPages] = []
    private var group = -1
    private var rowsInGroup = 0
    private var row = 0
    private var assembly = ParquetAssembly()

    /// - Throws: `DataFileError`.
    init(_ file: OpenFile) throws {
        self.file = file
        do {
            size = file.size ?? 0
            metadata = try ParquetMetadata(try Self.footer(file, size))
            schema = try ParquetSchema(metadata.schema)
            guard metadata.rowCount <= max(Self.freeRows, Self.rowsPerByte * size) else {
                throw FormatProblem("the file states \(metadata.rowCount) rows, more than its size can hold")
            }
            let columnCount = schema.columns.count
            guard metadata.groups.allSatisfy({ $0.columns.count == columnCount }) else {
                throw FormatProblem("a row group has other columns than the schema")
            }
        } catch let error as FormatProblem {
            throw DataFileError(path: file.path, reason: "Parquet: \(error.reason)")
        }
    }

    private static func footer(_ file: OpenFile, _ size: Int) throws -> [UInt8] {
        guard size >= 12 else { throw FormatProblem("the file ends early; get it again") }
        let end = try file.bytes(at: size - 8, count: 8)
        if end[4...].elementsEqual("PARE".utf8) { throw FormatProblem("the file is encrypted; decrypt it") }
        guard end[4...].elementsEqual("PAR1".utf8) else {
            throw FormatProblem("the file has no footer; it is cut off, get it again")
        }
        let count = (0..<4).reduce(0) { $0 | Int(end[$1]) << (8 * $1) }
        guard count <= min(size - 12, maximumFooter) else { throw FormatProblem("the size of the footer is invalid") }
        return try file.bytes(at: size - 8 - count, count: count)
    }

    func next() throws -> FileRow? {
        do {
            while rowsInGroup == 0 {
                try checkEnd()
                group += 1
                guard group < metadata.groups.count else { return nil }
                try openGroup()
            }
            row += 1
            rowsInGroup -= 1
            assembly.startRow()
            var members = JSONObject()
            for field in schema.fields {
                members[field.name] = try located(field.columns) {
                    let value = try assembly.value(of: field, columns)
                    for index in field.columns {
                        guard columns[index].repetition ?? 0 == 0 else {
                            throw FormatProblem("the column has more values than the row")
                        }
                    }
                    return value
                }
            }
            try assembly.checkExpansion(from: size)
            return FileRow(position: position, members: members)
        } catch let error as FormatProblem {
            throw DataFileError(path: file.path, place: row == 0 ? nil : position.description, reason: error.reason)
        }
    }

    private var position: RowPosition { .row(row, group: metadata.groups.count > 1 ? group + 1 : nil) }

    private func openGroup() throws {
        let found = metadata.groups[group]
        rowsInGroup = found.rowCount
        columns = try schema.columns.indices.map { index in
            try located(index..<index + 1) {
                try ParquetColumnPages(file, size: size, schema.columns[index], found.columns[index])
            }
        }
    }

    /// All values of a row group must belong to its rows.
    private func checkEnd() throws {
        for (index, column) in columns.enumerated() where column.repetition != nil {
            try located(index..<index + 1) { throw FormatProblem("the column has more values than the rows") }
        }
    }

    /// Adds the name of the first column to the errors of `body`.
    private func located<Result>(_ indices: Range<Int>, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let error as FormatProblem {
            let path = schema.columns[indices.lowerBound].path.onOneLine(limit: 80)
            throw FormatProblem("column \"\(path)\": \(error.reason)")
        }
    }
}
