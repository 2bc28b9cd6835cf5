import OrderedJSON

/// The rows of a file with one JSON object per line.
final class JSONLineRows: RowSource {
    private let path: String
    private var reader: LineReader

    init(_ source: any ByteSource, path: String) {
        self.path = path
        reader = LineReader(source, path: path)
    }

    func next() throws -> FileRow? {
        while let line = try reader.next() {
            guard line.contains(where: { !$0.isSpace }) else { continue }
            let value: JSON
            do { value = try JSON.parse(Array(line)) } catch {
                throw DataFileError(
                    path: path, place: "line \(reader.lineNumber)", reason: "\(error.reason), column \(error.column)")
            }
            return try FileRow(value, at: .line(reader.lineNumber), path: path)
        }
        return nil
    }
}

extension FileRow {
    /// - Throws: `DataFileError` if the value is not an object.
    init(_ value: JSON, at position: RowPosition, path: String) throws {
        guard case .object(let members) = value else {
            throw DataFileError(
                path: path, place: position.description, reason: "expected a JSON object, found \(value.kindName)")
        }
        self.init(position: position, members: members)
    }
}

extension UInt8 {
    /// Whether this is a space, a tab or a line break.
    var isSpace: Bool { self == 0x20 || (0x09...0x0D).contains(self) }
}
