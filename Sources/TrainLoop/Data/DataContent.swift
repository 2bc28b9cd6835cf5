import DataFiles
import OrderedJSON

/// What a data file holds, however its rows are read: format, fields, and the first rows.
package struct DataContent: Sendable {
    package let path: String
    /// The format, and how it is compressed.
    package let format: String
    package private(set) var table = FieldTable()
    package private(set) var firstRows: [(place: String, members: JSONObject)] = []
    /// The fields that were read as pairs or problems; nil before they are.
    package var fieldsRead: Set<String>?

    /// Reads all rows of a file and keeps the first `count`.
    ///
    /// - Throws: `DataFileError`, also if there are no rows.
    package init(path: String, firstRows count: Int) throws {
        self.path = path
        let reader = try DataFileReader(path: path)
        format = reader.format.description + (reader.compression.map { " (\($0))" } ?? "")
        while let row = try reader.next() {
            table.add(row.members)
            if firstRows.count < count { firstRows.append((row.position.description, row.members)) }
        }
        if table.rowCount == 0 { throw DataFileError.noRows(path) }
    }

    /// The members of the report of `check-data`; see `schemas/check-data.schema.json`.
    package var json: [(String, JSON)] {
        [
            ("format", .string(format)), ("rows", .integer(table.rowCount)),
            (
                "schema",
                .array(
                    table.fields.map { field in
                        [
                            "field": .string(field.path), "types": .array(field.types.map(JSON.string)),
                            "rows": .integer(field.rows),
                            "read": fieldsRead.map { .bool($0.contains(field.column)) } ?? .null,
                        ]
                    })
            ),
            ("first_rows", .array(firstRows.map { .object($0.members) })),
        ]
    }
}
