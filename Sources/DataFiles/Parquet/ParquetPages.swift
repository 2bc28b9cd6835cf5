import CZlib

/// A page whose bytes are decompressed.
struct ParquetPage {
    enum Kind { case dictionary, data }

    let kind: Kind
    let valueCount: Int
    let encoding: Int
    /// The bytes of the levels, and where each kind of level stands in them.
    let levels: [UInt8]
    let repetitions: Range<Int>?
    let definitions: Range<Int>?
    /// The bytes of the values, which begin at `start`.
    let bytes: [UInt8]
    let start: Int
}

/// Reads the pages of a column chunk one after the other.
final class ParquetPages {
    private static let maximumPage = 1 << 30
    private static let maximumHeader = 16 << 20

    private struct Header {
        var kind = -1
        var size = 0
        var storedSize = 0
        var checksum: Int?
        var valueCount = 0
        var encoding = -1
        var levelEncodings: Set<Int> = []
        var definitionSize = 0
        var repetitionSize = 0
        var isCompressed = true
    }

    private let file: OpenFile
    private let codec: PageCodec
    private let hasLevels: (repetition: Bool, definition: Bool)
    private var position: Int
    private let end: Int

    /// - Throws: `FormatProblem`.
    init(_ file: OpenFile, size: Int, _ chunk: ParquetColumnChunk, _ column: ParquetColumn) throws {
        if chunk.isEncrypted { throw FormatProblem("the column is encrypted; decrypt the file") }
        guard chunk.start >= 4, chunk.byteCount >= 0, chunk.start <= size, chunk.byteCount <= size - chunk.start else {
            throw FormatProblem("the place of the column in the file is invalid")
        }
        self.file = file
        codec = try PageCodec(code: chunk.codec)
        hasLevels = (column.maximumRepetition > 0, column.maximumDefinition > 0)
        position = chunk.start
        end = chunk.start + chunk.byteCount
    }

    /// The next dictionary or data page.
    ///
    /// - Throws: `FormatProblem`, also at the end.
    func next() throws -> ParquetPage {
        while true {
            let header = try self.header()
            guard header.storedSize >= 0, header.storedSize <= end - position,
                (0...Self.maximumPage).contains(header.size),
                (0...ParquetColumnPages.maximumValues).contains(header.valueCount)
            else { throw FormatProblem("the size of a page is invalid") }
            let stored = try file.bytes(at: position, count: header.storedSize)
            position += header.storedSize
            if let checksum = header.checksum {
                let found = stored.withUnsafeBufferPointer { crc32(0, $0.baseAddress, UInt32($0.count)) }
                guard UInt32(truncatingIfNeeded: checksum) == UInt32(truncatingIfNeeded: found) else {
                    throw FormatProblem("the checksum of a page differs; the file is damaged")
                }
            }
            switch header.kind {
            case 0: return try data(header, stored)
            case 2:
                return ParquetPage(
                    kind: .dictionary, valueCount: header.valueCount, encoding: header.encoding, levels: [],
                    repetitions: nil, definitions: nil, bytes: try codec.decompress(stored[...], size: header.size),
                    start: 0)
            case 3: return try dataV2(header, stored)
            case 1: continue
            default: throw FormatProblem("pages of kind \(header.kind) are not read")
            }
        }
    }

    private func data(_ header: Header, _ stored: [UInt8]) throws -> ParquetPage {
        let bytes = try codec.decompress(stored[...], size: header.size)
        // Levels of an old encoding are packed without lengths.
        guard header.levelEncodings.isSubset(of: [3]) || !(hasLevels.repetition || hasLevels.definition) else {
            throw FormatProblem("levels in the encoding BIT_PACKED are not read; write the file with pyarrow")
        }
        var start = 0
        var ranges: [Range<Int>?] = []
        for isPresent in [hasLevels.repetition, hasLevels.definition] {
            let range = isPresent ? try lengthPrefixed(bytes, from: start) : nil
            start = range?.upperBound ?? start
            ranges.append(range)
        }
        return ParquetPage(
            kind: .data, valueCount: header.valueCount, encoding: header.encoding, levels: bytes,
            repetitions: ranges[0], definitions: ranges[1], bytes: bytes, start: start)
    }

    private func dataV2(_ header: Header, _ stored: [UInt8]) throws -> ParquetPage {
        let (first, second) = (header.repetitionSize, header.definitionSize)
        guard first >= 0, second >= 0, first <= stored.count, second <= stored.count - first,
            first + second <= header.size
        else { throw damaged }
        let rest = stored[(first + second)...]
        let size = header.size - first - second
        // A page without values has nothing to decompress.
        let isStored = !header.isCompressed || (rest.isEmpty && size == 0)
        return ParquetPage(
            kind: .data, valueCount: header.valueCount, encoding: header.encoding, levels: stored,
            repetitions: 0..<first, definitions: first..<first + second,
            bytes: isStored ? Array(rest) : try codec.decompress(rest, size: size), start: 0)
    }

    private func header() throws -> Header {
        var window = 1 << 12
        while true {
            let count = min(window, end - position)
            guard count > 0 else { throw FormatProblem("the pages end before all values") }
            var reader = ThriftReader(try file.bytes(at: position, count: count))
            do {
                let header = try Self.header(&reader)
                position += reader.position
                return header
            } catch let error as FormatProblem {
                // Statistics with long texts make a header longer.
                guard count == window, window < Self.maximumHeader else { throw error }
                window *= 16
            }
        }
    }

    private static func header(_ reader: inout ThriftReader) throws -> Header {
        var header = Header()
        try reader.structure { (reader, field) throws in
            switch field.id {
            case 1: header.kind = try reader.integer(field)
            case 2: header.size = try reader.integer(field)
            case 3: header.storedSize = try reader.integer(field)
            case 4: header.checksum = try reader.integer(field)
            case 5, 7:
                let isData = field.id == 5
                try reader.structure(field) { (reader, field) throws in
                    switch field.id {
                    case 1: header.valueCount = try reader.integer(field)
                    case 2: header.encoding = try reader.integer(field)
                    case 3, 4:
                        if isData {
                            header.levelEncodings.insert(try reader.integer(field))
                        } else {
                            try reader.skip(field)
                        }
                    default: try reader.skip(field)
                    }
                }
            case 8:
                try reader.structure(field) { (reader, field) throws in
                    switch field.id {
                    case 1: header.valueCount = try reader.integer(field)
                    case 4: header.encoding = try reader.integer(field)
                    case 5: header.definitionSize = try reader.integer(field)
                    case 6: header.repetitionSize = try reader.integer(field)
                    case 7: header.isCompressed = try reader.bool(field)
                    default: try reader.skip(field)
                    }
                }
            default: try reader.skip(field)
            }
        }
        return header
    }
}
