import CSystem
import CheckpointIO
import DataFiles
import Foundation
import OrderedJSON

/// Reads data files of every format, and writes files with one JSON object per line.
package enum DataFile {
    /// How a reader uses a map of fields.
    enum MapUse {
        /// Every mapped field must be in the file; those of responses only if the flag is set.
        case required(withResponses: Bool)
        /// A row that lacks a mapped field keeps its own names of fields.
        case optional
    }

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
    static func firstRow(path: String, map: FieldMap? = nil) throws -> DataRow {
        guard let row = try DataFileReader(path: path).next() else { throw DataFileError.noRows(path) }
        var found: Set<String> = []
        let members = map?.applied(to: row.members, isOptional: false, found: &found) ?? row.members
        return DataRow(path: path, position: row.position, members: members)
    }

    /// Calls `body` with each row, one at a time.
    ///
    /// - Parameters:
    ///   - path: the file; `-` is standard input.
    ///   - map: other names of fields.
    ///   - mapUse: what happens if the file lacks a mapped field.
    ///   - uses: receives the fields that `body` reads.
    ///   - body: receives a row.
    /// - Throws: `DataFileError`, also if there are no rows, and the errors of `body`.
    static func forEachRow(
        path: String, map: FieldMap? = nil, _ mapUse: MapUse = .optional, uses: FieldUses? = nil,
        _ body: (DataRow) throws -> Void
    ) throws {
        let reader = try DataFileReader(path: path)
        var isOptional = true
        var sources: [String] = []
        if case .required(let withResponses) = mapUse {
            isOptional = false
            sources = map?.sources(withResponses: withResponses) ?? []
        }
        var isEmpty = true
        var found: Set<String> = []
        while let row = try reader.next() {
            isEmpty = false
            let members = map?.applied(to: row.members, isOptional: isOptional, found: &found) ?? row.members
            do {
                try body(DataRow(path: path, position: row.position, members: members, uses: uses))
            } catch {
                try checkMapped(sources, found, row, path)
                throw error
            }
        }
        if isEmpty { throw DataFileError.noRows(path) }
        try checkMapped(sources, found, nil, path)
    }

    /// Refuses a map that names a field which no row so far has.
    private static func checkMapped(
        _ sources: [String], _ found: Set<String>, _ row: FileRow?, _ path: String
    ) throws {
        guard let missing = sources.first(where: { !found.contains($0) }) else { return }
        let fields = row.map { "; the row has " + $0.members.keys.prefix(30).joined(separator: ", ") } ?? ""
        throw DataFileError(
            path: path, place: row?.position.description,
            reason: "--map: \(row == nil ? "no row has a" : "there is no") field \"\(missing)\"\(fields)"
                .onOneLine(limit: 400))
    }

    /// The digest of a data file, by which a resumed run recognises it.
    ///
    /// - Throws: `DataFileError`, and errors of reading.
    package static func sha256(path: String) throws -> String {
        try FileDigest.sha256(path: try ReplayedInput.path(of: path))
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
                    try body(DataRow(path: path, position: .line(reader.lineNumber), members: members))
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
