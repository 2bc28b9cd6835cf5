import OrderedJSON

/// Where a row stands in its file.
package enum RowPosition: Sendable, Hashable, CustomStringConvertible {
    /// The line of a text file, from 1.
    case line(Int)
    /// The element of a JSON array, from 1.
    case element(Int)
    /// The row of a Parquet file, and its row group if there are several, both from 1.
    case row(Int, group: Int?)

    package var number: Int {
        switch self {
        case .line(let number), .element(let number), .row(let number, _): number
        }
    }

    package var description: String {
        switch self {
        case .line(let number): "line \(number)"
        case .element(let number): "element \(number)"
        case .row(let number, let group): "row \(number)" + (group.map { " (row group \($0))" } ?? "")
        }
    }
}

/// One row of a data file as a JSON object.
package struct FileRow: Sendable, Equatable {
    package let position: RowPosition
    package let members: JSONObject
}

/// The rows of one file in one format.
protocol RowSource {
    /// The next row, or nil at the end.
    ///
    /// - Throws: `DataFileError`.
    mutating func next() throws -> FileRow?
}
