/// How the pages of a Parquet column are compressed.
struct PageCodec {
    private enum Kind { case none, snappy, gzip, zstd, lz4 }

    private let kind: Kind

    /// - Throws: `FormatProblem` that names a codec which is not read.
    init(code: Int) throws {
        switch code {
        case 0: kind = .none
        case 1: kind = .snappy
        case 2: kind = .gzip
        case 6: kind = .zstd
        case 7: kind = .lz4
        default:
            let names = [3: "LZO", 4: "BROTLI", 5: "LZ4 (of Hadoop)"]
            throw FormatProblem(
                "pages are compressed with \(names[code] ?? "codec \(code)"), which is not read; write the file with "
                    + "zstd, snappy, gzip, lz4_raw or no compression")
        }
    }

    /// Decompresses a page that must have `size` bytes.
    ///
    /// - Throws: `FormatProblem`.
    func decompress(_ page: ArraySlice<UInt8>, size: Int) throws -> [UInt8] {
        switch kind {
        case .none:
            guard page.count == size else { throw FormatProblem("a page without compression has two sizes") }
            return Array(page)
        case .snappy:
            try Self.check(size, page.count, Snappy.maximumRatio)
            return try page.withUnsafeBytes { try Snappy.decompress($0, size: size) }
        case .lz4:
            try Self.check(size, page.count, LZ4.maximumRatio)
            return try page.withUnsafeBytes { try LZ4.decompress($0, size: size) }
        case .gzip: return try Self.content(of: GzipBytes(MemoryBytes(Array(page)), path: ""), size: size)
        case .zstd: return try Self.content(of: ZstdBytes(MemoryBytes(Array(page)), path: ""), size: size)
        }
    }

    /// A size that the codec cannot reach is not allocated.
    private static func check(_ size: Int, _ count: Int, _ ratio: Int) throws {
        guard size / ratio <= count else { throw FormatProblem("a page states a size that its codec cannot reach") }
    }

    /// Memory grows with what is decompressed, not with the size that is stated.
    private static func content(of source: any ByteSource, size: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var step = 1 << 16
        do {
            while true {
                let start = bytes.count
                // One more than is left shows whether there is more.
                let room = min(step, size - start + 1)
                bytes.append(contentsOf: repeatElement(0, count: room))
                let count = try bytes.withUnsafeMutableBytes {
                    try source.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
                }
                bytes.removeLast(room - count)
                if count == 0 { break }
                guard bytes.count <= size else { throw FormatProblem("a page is longer than stated") }
                step = max(step, bytes.count)
            }
        } catch let error as DataFileError {
            throw FormatProblem("a page: \(error.reason)")
        }
        guard bytes.count == size else { throw FormatProblem("a page is shorter than stated") }
        return bytes
    }
}
