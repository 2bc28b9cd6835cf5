import OrderedJSON

/// The rows of one JSON array of objects, which are parsed one at a time.
final class JSONArrayRows: RowSource {
    private let path: String
    private let cursor: ByteCursor
    private var count = 0
    private var isFinished = false

    init(_ source: any ByteSource, path: String) {
        self.path = path
        cursor = ByteCursor(source)
    }

    func next() throws -> FileRow? {
        guard !isFinished else { return nil }
        if count == 0 {
            // The format was recognised by the opening bracket.
            try skipSpace()
            _ = try cursor.next()
            if try skipSpace() == UInt8(ascii: "]") { return try finish() }
        } else {
            switch try skipSpace() {
            case UInt8(ascii: ","): _ = try cursor.next()
            case UInt8(ascii: "]"): return try finish()
            case nil: throw error("unexpected end of the JSON text")
            default: throw error("expected ',' or ']' in an array")
            }
            try skipSpace()
        }
        count += 1
        let (line, column) = (cursor.line, cursor.column)
        let bytes = try element()
        guard try !bytes.isEmpty || cursor.peek() == nil else { throw error("expected a JSON object") }
        let value: JSON
        do { value = try JSON.parse(bytes) } catch {
            throw DataFileError(
                path: path, place: "line \(line + error.line - 1)",
                reason: "\(error.reason), column \(error.line == 1 ? column + error.column - 1 : error.column)")
        }
        return try FileRow(value, at: .element(count), path: path)
    }

    /// The bytes of the next element: to the bracket that closes it, or to the next separator.
    private func element() throws -> [UInt8] {
        var bytes: [UInt8] = []
        var depth = 0
        var (isText, isEscaped) = (false, false)
        while let byte = try cursor.peek() {
            let isOutside = depth == 0 && !isText
            if isOutside, byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]") || byte.isSpace { break }
            guard bytes.count < LineReader.maximumBytes else {
                throw DataFileError(path: path, place: "element \(count)", reason: "the element is over 64 MiB")
            }
            bytes.append(byte)
            _ = try cursor.next()
            if isText {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isText = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isText = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth <= 0 { return bytes }
            default: break
            }
        }
        return bytes
    }

    private func finish() throws -> FileRow? {
        isFinished = true
        _ = try cursor.next()
        guard try skipSpace() == nil else { throw error("unexpected text after the JSON array") }
        return nil
    }

    /// The next byte that is not white space; nil at the end.
    @discardableResult private func skipSpace() throws -> UInt8? {
        while let byte = try cursor.peek() {
            guard byte.isSpace else { return byte }
            _ = try cursor.next()
        }
        return nil
    }

    private func error(_ reason: String) -> DataFileError {
        DataFileError(path: path, place: "line \(cursor.line)", reason: "\(reason), column \(cursor.column)")
    }
}
