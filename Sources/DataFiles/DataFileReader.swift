/// Reads the rows of a data file one after the other.
///
/// The format is recognised by content: JSON Lines, a JSON array, CSV with a line of names, or Parquet, each also
/// compressed with gzip or zstd and with a byte order mark. The path `-` is standard input.
package final class DataFileReader {
    private static let gzipStart: [UInt8] = [0x1F, 0x8B]
    private static let zstdStart: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]
    /// The bytes by which a format is recognised.
    private static let startCount = 1 << 16

    package let path: String
    package let format: DataFormat
    /// "gzip" or "zstd"; nil for a file that is not compressed.
    package let compression: String?
    private var rows: any RowSource

    /// Opens a file.
    ///
    /// - Throws: `DataFileError`.
    package init(path: String) throws {
        self.path = path
        let file = try OpenFile(path: path)
        var source = try PeekedBytes(FileBytes(file), count: Self.startCount)
        if source.start.starts(with: Self.gzipStart) {
            compression = "gzip"
            source = try PeekedBytes(GzipBytes(source, path: path), count: Self.startCount)
        } else if source.start.starts(with: Self.zstdStart) {
            compression = "zstd"
            source = try PeekedBytes(ZstdBytes(source, path: path), count: Self.startCount)
        } else {
            compression = nil
        }
        format = try DataFormat(start: source.start, path: path)
        if source.start.starts(with: DataFormat.byteOrderMark) { source.skip(DataFormat.byteOrderMark.count) }
        switch format {
        case .jsonLines: rows = JSONLineRows(source, path: path)
        case .jsonArray: rows = JSONArrayRows(source, path: path)
        case .csv(let separator): rows = CSVRows(source, separator: separator, path: path)
        case .parquet:
            let stored = compression == nil && file.size != nil ? file : try OpenFile(copying: source, path: path)
            rows = try ParquetRows(stored)
        }
    }

    /// The next row, or nil at the end.
    ///
    /// - Throws: `DataFileError`.
    package func next() throws -> FileRow? { try rows.next() }
}
