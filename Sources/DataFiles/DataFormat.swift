import OrderedJSON

/// How a file stores its rows, recognised by its first bytes.
package enum DataFormat: Sendable, Equatable, CustomStringConvertible {
    case jsonLines, jsonArray
    case csv(separator: UInt8)
    case parquet

    package var description: String {
        switch self {
        case .jsonLines: "JSON Lines"
        case .jsonArray: "JSON array"
        case .csv(UInt8(ascii: "\t")): "TSV"
        case .csv: "CSV"
        case .parquet: "Parquet"
        }
    }

    static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// Recognises a format by the first bytes of a file, and text that is not JSON also by its name.
    ///
    /// - Throws: `DataFileError` that names a format which is not read.
    init(start: [UInt8], path: String) throws {
        if start.starts(with: "PAR1".utf8) {
            self = .parquet
            return
        }
        if let format = Self.unreadable.first(where: { start.starts(with: $0.start) }) {
            throw DataFileError(path: path, reason: "\(format.name) not read; \(format.remedy)")
        }
        let text = start.starts(with: Self.byteOrderMark) ? start.dropFirst(3) : start[...]
        let first = text.first { !$0.isSpace }
        switch first {
        case UInt8(ascii: "["): self = .jsonArray
        case nil, UInt8(ascii: "{"): self = .jsonLines
        default:
            guard !text.contains(0) else {
                throw DataFileError(
                    path: path, reason: "not a data file; give JSON Lines, a JSON array, CSV or Parquet")
            }
            self = Self.separator(in: text, path: path).map { .csv(separator: $0) } ?? .jsonLines
        }
    }

    private static let unreadable: [(start: [UInt8], name: String, remedy: String)] = [
        (Array("PARE".utf8), "encrypted Parquet files are", "decrypt it"),
        (Array("ARROW1".utf8), "Arrow files are", "write it as Parquet"),
        ([0xFF, 0xFF, 0xFF, 0xFF], "Arrow streams are", "write it as Parquet"),
        (Array("ORC".utf8), "ORC files are", "write it as Parquet"),
        (Array("Obj\u{1}".utf8), "Avro files are", "write it as Parquet"),
        (Array("SQLite format 3".utf8), "SQLite files are", "write the table as Parquet or CSV"),
        ([0x89, 0x48, 0x44, 0x46], "HDF5 files are", "data is JSON Lines, a JSON array, CSV or Parquet"),
        (Array("PK\u{3}\u{4}".utf8), "ZIP archives (and .xlsx) are", "give a file of it, or write the sheet as CSV"),
        (Array("BZh".utf8), "bzip2 is", "decompress it, or use gzip or zstd"),
        ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], "xz is", "decompress it, or use gzip or zstd"),
        ([0x04, 0x22, 0x4D, 0x18], "LZ4 frames are", "decompress it, or use gzip or zstd"),
        ([0xFF, 0xFE], "UTF-16 is", "convert it to UTF-8"), ([0xFE, 0xFF], "UTF-16 is", "convert it to UTF-8"),
    ]

    /// The separator of a text whose first line has names of columns; nil if it looks like JSON.
    private static func separator(in text: ArraySlice<UInt8>, path: String) -> UInt8? {
        var name = path.lowercased()
        for suffix in [".gz", ".zst"] where name.hasSuffix(suffix) { name.removeLast(suffix.count) }
        if name.hasSuffix(".tsv") { return UInt8(ascii: "\t") }
        let line = text.prefix { $0 != 0x0A }
        let isJSONName = [".jsonl", ".json", ".ndjson"].contains { name.hasSuffix($0) }
        let candidates = Array(",\t;".utf8)
        let found = candidates.first { line.contains($0) }
        if name.hasSuffix(".csv") { return found ?? UInt8(ascii: ",") }
        // A line that is a JSON value is JSON Lines of the wrong kind.
        return isJSONName || (try? JSON.parse(Array(line))) != nil ? nil : found
    }
}
