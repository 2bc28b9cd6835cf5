import OrderedJSON

/// The rows of a CSV file (RFC 4180) under the names of its first line.
///
/// All values are texts; an empty field without quotation marks is null.
final class CSVRows: RowSource {
    private let path: String
    private let separator: UInt8
    private let cursor: ByteCursor
    private var names: [String] = []

    init(_ source: any ByteSource, separator: UInt8, path: String) {
        self.path = path
        self.separator = separator
        cursor = ByteCursor(source)
    }

    func next() throws -> FileRow? {
        if names.isEmpty { try readNames() }
        guard let (line, fields) = try record() else { return nil }
        guard fields.count == names.count else {
            throw error(
                "\(fields.count) \(fields.count == 1 ? "field" : "fields") under \(names.count) names; check quotation "
                    + "marks and separators", line)
        }
        return FileRow(
            position: .line(line), members: JSONObject(zip(names, fields).map { ($0, $1.map(JSON.string) ?? .null) }))
    }

    private func readNames() throws {
        guard let (line, fields) = try record() else { return }
        names = try fields.enumerated().map { index, name in
            guard let name, !name.isEmpty else { throw error("column \(index + 1) has no name", line) }
            return name
        }
        if Set(names).count < names.count {
            let name = names.first { name in names.count { $0 == name } > 1 } ?? ""
            throw error("two columns have the name \"\(name.onOneLine(limit: 80))\"", line)
        }
    }

    /// The fields of the next record that is not an empty line, and the line on which it begins.
    private func record() throws -> (line: Int, fields: [String?])? {
        while let byte = try cursor.peek(), byte == 0x0A || byte == 0x0D { _ = try cursor.next() }
        guard try cursor.peek() != nil else { return nil }
        let line = cursor.line
        var fields: [String?] = []
        var size = 0
        while true {
            let (field, isLast) = try field(&size, line)
            fields.append(field)
            if isLast { return (line, fields) }
        }
    }

    /// The next field, and whether its record ends with it.
    private func field(_ size: inout Int, _ line: Int) throws -> (text: String?, isLast: Bool) {
        var bytes: [UInt8] = []
        let isQuoted = try cursor.peek() == UInt8(ascii: "\"")
        if isQuoted { bytes = try quoted(&size, line) }
        while true {
            let byte = try cursor.next()
            if byte == 0x0D, try cursor.peek() == 0x0A { continue }
            if let byte, byte != separator, byte != 0x0A {
                guard !isQuoted else {
                    throw error("text after the quotation mark that ends a field; write \"\" for a mark inside", line)
                }
                try grow(&size, line)
                bytes.append(byte)
                continue
            }
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw error("invalid UTF-8; convert the file to UTF-8", line)
            }
            return (text.isEmpty && !isQuoted ? nil : text, byte != separator)
        }
    }

    private func quoted(_ size: inout Int, _ line: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        _ = try cursor.next()
        while let byte = try cursor.next() {
            if byte == UInt8(ascii: "\"") {
                guard try cursor.peek() == byte else { return bytes }
                _ = try cursor.next()
            }
            try grow(&size, line)
            bytes.append(byte)
        }
        throw error("a quotation mark is not closed", line)
    }

    private func grow(_ size: inout Int, _ line: Int) throws {
        size += 1
        guard size <= LineReader.maximumBytes else {
            throw error("the row is over 64 MiB; check the quotation marks", line)
        }
    }

    private func error(_ reason: String, _ line: Int) -> DataFileError {
        DataFileError(path: path, place: "line \(line)", reason: reason)
    }
}
