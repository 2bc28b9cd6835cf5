import CSystem
import CheckpointIO
import Foundation
import OrderedJSON

/// A problem with a data file.
public struct DataFileError: Error, Equatable, CustomStringConvertible {
    /// The file, as given by the caller.
    public let path: String
    /// "line 3" of a JSONL file or "element 3" of a JSON array; nil for problems of the whole file.
    public let place: String?
    /// The problem and its remedy, on one line.
    public let reason: String

    package init(path: String, place: String? = nil, reason: String) {
        self.path = path
        self.place = place
        self.reason = reason
    }

    /// The system's text for an error number, with a hint.
    static func reason(_ code: Int32) -> String {
        String(cString: strerror(code)).lowercased() + (code == ENOENT ? "; check the path" : "")
    }

    /// The current `errno` as an error of writing.
    static func cannotWrite(_ path: String) -> Self { Self(path: path, reason: "cannot write: \(reason(errno))") }

    static func noRows(_ path: String) -> Self {
        Self(path: path, reason: "the file has no rows; give at least one")
    }

    /// The path, the place and the reason on one line.
    public var description: String { path + (place.map { ", \($0)" } ?? "") + ": " + reason }
}

/// One JSON object of a data file.
struct DataRow: Sendable {
    let path: String
    /// The line of a JSONL file or the element of a JSON array, from 1.
    let number: Int
    let isLine: Bool
    let members: JSONObject

    var place: String { (isLine ? "line " : "element ") + String(number) }

    func error(_ reason: String) -> DataFileError { DataFileError(path: path, place: place, reason: reason) }

    subscript(key: String) -> JSON? {
        guard let value = members[key], !value.isNull else { return nil }
        return value
    }

    /// The string or the number literal under a key.
    func text(_ key: String) throws -> String? {
        guard let value = self[key] else { return nil }
        guard let text = value.plainText else {
            throw error("\"\(key)\" is \(value.kindName); it must be a string or a number")
        }
        return text
    }

    /// The text under the first of these keys that exists.
    func text(anyOf keys: [String]) throws -> String? {
        for key in keys { if let text = try text(key) { return text } }
        return nil
    }
}

extension JSON {
    /// The content of a string, or the literal of a number without a trailing `.0`.
    var plainText: String? {
        switch self {
        case .string(let text): return text
        case .number(let literal): return literal.hasSuffix(".0") ? String(literal.dropLast(2)) : literal
        default: return nil
        }
    }
}

/// Reads and writes files of JSON objects: one per line (JSONL), or one JSON array.
enum DataFile {
    /// The limit of a line; real problems and answers are far shorter.
    static let maximumRowBytes = 64 << 20
    /// The limit of a JSON array, which is parsed as a whole.
    private static let maximumArrayBytes = 1 << 30

    /// Reads all rows.
    ///
    /// - Throws: `DataFileError` with the path and the line.
    static func rows(path: String) throws -> [DataRow] {
        var rows: [DataRow] = []
        try forEachRow(path: path) { rows.append($0) }
        return rows
    }

    /// The first row.
    ///
    /// - Throws: `DataFileError`, also if there are no rows.
    static func firstRow(path: String) throws -> DataRow {
        struct Found: Error { let row: DataRow }
        do { try forEachRow(path: path) { throw Found(row: $0) } } catch let found as Found { return found.row }
        throw DataFileError.noRows(path)
    }

    /// Calls `body` with each row; a JSONL file is read line by line.
    ///
    /// - Throws: `DataFileError`, also if there are no rows, and the errors of `body`.
    static func forEachRow(path: String, _ body: (DataRow) throws -> Void) throws {
        var reader = try LineReader(path: path)
        var rowCount = 0
        while let line = try reader.next() {
            guard let first = line.first(where: { !$0.isASCIISpace }) else { continue }
            if rowCount == 0, first == UInt8(ascii: "[") {
                return try forEachElement(path: path, startingWith: line, of: &reader, body)
            }
            rowCount += 1
            let value: JSON
            do { value = try JSON.parse(Array(line)) } catch {
                throw DataFileError(
                    path: path, place: "line \(reader.lineNumber)", reason: "\(error.reason), column \(error.column)")
            }
            try body(row(value, path: path, number: reader.lineNumber, isLine: true))
        }
        guard rowCount > 0 else { throw DataFileError.noRows(path) }
    }

    /// Calls `body` with each whole row of a log of this program, and passes over what is damaged.
    ///
    /// A crash or a bad disk leaves NUL bytes, cut lines and lines that have run together. A row that follows a cut one
    /// on the same line is found by `start`, the bytes with which every row begins and which no text in a row contains.
    ///
    /// - Parameters:
    ///   - path: the log.
    ///   - start: the first bytes of every row.
    ///   - body: receives a row, and returns whether it is one of the log and complete.
    /// - Returns: the number of lines, and of those with damage.
    /// - Throws: `DataFileError` if the file cannot be read, and the errors of `body`.
    static func forEachWholeRow(
        path: String, startingWith start: String, _ body: (DataRow) throws -> Bool
    ) throws -> (lines: Int, damaged: Int) {
        var reader = try LineReader(path: path)
        reader.skipsLongLines = true
        var damaged = 0
        while let line = try reader.next() {
            var isWhole = true
            for piece in pieces(of: line, startingWith: Array(start.utf8)) {
                guard piece.contains(where: { !$0.isASCIISpace }) else { continue }
                // Not a character of JSON; a crash leaves them where a row was to be.
                var bytes = piece
                while bytes.first == 0 { bytes = bytes.dropFirst() }
                while bytes.last == 0 { bytes = bytes.dropLast() }
                guard case .object(let members)? = try? JSON.parse(Array(bytes)),
                    try body(DataRow(path: path, number: reader.lineNumber, isLine: true, members: members))
                else {
                    isWhole = false
                    continue
                }
                if bytes.count < piece.count { isWhole = false }
            }
            if !isWhole { damaged += 1 }
        }
        return (reader.lineNumber, damaged + reader.skippedLines)
    }

    /// A line cut before each `start` in it.
    private static func pieces(of line: ArraySlice<UInt8>, startingWith start: [UInt8]) -> [ArraySlice<UInt8>] {
        var cuts = [line.startIndex]
        line.withUnsafeBytes { bytes in
            var position = 1
            while position < bytes.count, let base = bytes.baseAddress,
                let next = memmem(base + position, bytes.count - position, start, start.count)
            {
                let offset = base.distance(to: next)
                cuts.append(line.startIndex + offset)
                position = offset + start.count
            }
        }
        return zip(cuts, cuts.dropFirst() + [line.endIndex]).map { line[$0..<$1] }
    }

    private static func forEachElement(
        path: String, startingWith line: ArraySlice<UInt8>, of reader: inout LineReader,
        _ body: (DataRow) throws -> Void
    ) throws {
        var bytes = Array(line)
        let firstLine = reader.lineNumber
        while let line = try reader.next() {
            bytes.append(UInt8(ascii: "\n"))
            bytes.append(contentsOf: line)
            guard bytes.count <= maximumArrayBytes else {
                throw DataFileError(path: path, reason: "the JSON array is over 1 GiB; write one object per line")
            }
        }
        let value: JSON
        do { value = try JSON.parse(bytes) } catch {
            throw DataFileError(
                path: path, place: "line \(error.line + firstLine - 1)",
                reason: "\(error.reason), column \(error.column)")
        }
        let elements = value.array ?? []
        guard !elements.isEmpty else { throw DataFileError.noRows(path) }
        for (index, element) in elements.enumerated() {
            try body(row(element, path: path, number: index + 1, isLine: false))
        }
    }

    private static func row(_ value: JSON, path: String, number: Int, isLine: Bool) throws -> DataRow {
        guard case .object(let members) = value else {
            throw DataFileError(
                path: path, place: (isLine ? "line " : "element ") + String(number),
                reason: "expected a JSON object, found \(value.kindName)")
        }
        return DataRow(path: path, number: number, isLine: isLine, members: members)
    }

    /// Writes one JSON object per line, atomically.
    ///
    /// - Throws: `DataFileError` if the file exists and `overwrite` is false, `CheckpointError` if it cannot be
    ///   written.
    static func write(_ rows: some Sequence<JSON>, to path: String, overwrite: Bool) throws {
        try write(text(of: rows), to: path, overwrite: overwrite)
    }

    /// One JSON object per line.
    static func text(of rows: some Sequence<JSON>) -> String {
        var text = ""
        for row in rows {
            text += row.serialized()
            text += "\n"
        }
        return text
    }

    /// Writes a text, atomically.
    ///
    /// - Throws: `DataFileError` if the file exists and `overwrite` is false, `CheckpointError` if it cannot be
    ///   written.
    static func write(_ text: String, to path: String, overwrite: Bool) throws {
        if !overwrite, FileManager.default.fileExists(atPath: path) {
            throw DataFileError(path: path, reason: "the file exists; give --force to replace it")
        }
        try AtomicFile.write(text, to: path, overwrite: overwrite)
    }
}

/// Reads a file or a pipe line by line through one buffer.
struct LineReader: ~Copyable {
    private let descriptor: Int32
    private let path: String
    private var buffer: [UInt8] = []
    private var start = 0
    private var atEnd = false
    /// The number of the last line returned, from 1.
    private(set) var lineNumber = 0
    /// Whether lines over the limit are passed over instead of being an error.
    var skipsLongLines = false
    private(set) var skippedLines = 0

    init(path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw DataFileError(path: path, reason: DataFileError.reason(errno)) }
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// The next line without its line feed, or nil at the end.
    mutating func next() throws -> ArraySlice<UInt8>? {
        var searched = start
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { start = end + 1 }
                lineNumber += 1
                return buffer[start..<end]
            }
            guard buffer.count - start <= DataFile.maximumRowBytes else {
                if skipsLongLines {
                    try skipLine()
                    searched = start
                    continue
                }
                throw DataFileError(
                    path: path, place: "line \(lineNumber + 1)",
                    reason: "the line is over 64 MiB; check that this is a JSONL file")
            }
            if atEnd {
                guard start < buffer.count else { return nil }
                defer { start = buffer.count }
                lineNumber += 1
                return buffer[start...]
            }
            buffer.removeFirst(start)
            start = 0
            searched = buffer.count
            try fill()
        }
    }

    /// Passes over the rest of the current line.
    private mutating func skipLine() throws {
        lineNumber += 1
        skippedLines += 1
        while true {
            buffer.removeAll(keepingCapacity: true)
            start = 0
            if atEnd { return }
            try fill()
            if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                start = end + 1
                return
            }
        }
    }

    private mutating func fill() throws {
        let step = 1 << 20
        let count = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: step))
        let received = buffer.withUnsafeMutableBytes {
            read(descriptor, UnsafeMutableRawBufferPointer(rebasing: $0[count...]).baseAddress, step)
        }
        buffer.removeLast(step - max(0, received))
        if received < 0 {
            if errno == EINTR { return }
            throw DataFileError(path: path, reason: DataFileError.reason(errno))
        }
        atEnd = received == 0
    }
}
