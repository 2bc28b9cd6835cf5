/// A stored value before its logical type is applied.
enum StoredValue {
    case bool(Bool)
    case integer(Int64)
    case float(Float)
    case double(Double)
    case bytes(ArraySlice<UInt8>)
}

/// Decodes the values of a page one after the other.
protocol ValueDecoder {
    /// - Throws: `FormatProblem` at the end of the data.
    mutating func next() throws -> StoredValue
}

/// Values one after the other (PLAIN).
struct PlainDecoder: ValueDecoder {
    private let bytes: [UInt8]
    private let column: ParquetColumn
    private var position: Int
    private var bit = 0

    init(_ bytes: [UInt8], from start: Int, _ column: ParquetColumn) {
        self.bytes = bytes
        self.column = column
        position = start
    }

    mutating func next() throws -> StoredValue {
        if column.type == 0 {
            guard position < bytes.count else { throw damaged }
            defer { (position, bit) = bit == 7 ? (position + 1, 0) : (position, bit + 1) }
            return .bool(bytes[position] >> UInt8(bit) & 1 == 1)
        }
        if column.type == 6 {
            let count = try take(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            return .bytes(try take(count))
        }
        return StoredValue(fixed: try take(column.fixedLength), column)
    }

    private mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
        guard count <= bytes.count - position else { throw damaged }
        defer { position += count }
        return bytes[position..<position + count]
    }
}

/// Booleans in runs (RLE).
struct BooleanRunDecoder: ValueDecoder {
    private var runs: HybridDecoder

    init(_ bytes: [UInt8], from start: Int) throws {
        let range = try lengthPrefixed(bytes, from: start)
        runs = try HybridDecoder(bytes, range, bitWidth: 1)
    }

    mutating func next() throws -> StoredValue { .bool(try runs.next() == 1) }
}

/// Integers as differences (DELTA_BINARY_PACKED).
struct DeltaIntegerDecoder: ValueDecoder {
    private var integers: DeltaDecoder
    private let isShort: Bool

    init(_ bytes: [UInt8], from start: Int, _ column: ParquetColumn) throws {
        integers = try DeltaDecoder(bytes, from: start)
        isShort = column.type == 1
    }

    mutating func next() throws -> StoredValue {
        let value = try integers.next()
        return .integer(isShort ? Int64(Int32(truncatingIfNeeded: value)) : value)
    }
}

/// Texts whose lengths stand before them (DELTA_LENGTH_BYTE_ARRAY).
struct DeltaLengthDecoder: ValueDecoder {
    private let bytes: [UInt8]
    private var lengths: DeltaDecoder
    private var position: Int

    init(_ bytes: [UInt8], from start: Int) throws {
        self.bytes = bytes
        lengths = try DeltaDecoder(bytes, from: start)
        position = try lengths.end()
    }

    mutating func nextBytes() throws -> ArraySlice<UInt8> {
        let count = try lengths.next()
        guard count >= 0, count <= bytes.count - position else { throw damaged }
        defer { position += Int(count) }
        return bytes[position..<position + Int(count)]
    }

    mutating func next() throws -> StoredValue { .bytes(try nextBytes()) }
}

/// Texts that share their start with the one before (DELTA_BYTE_ARRAY).
struct DeltaTextDecoder: ValueDecoder {
    private var prefixes: DeltaDecoder
    private var suffixes: DeltaLengthDecoder
    private var last: ArraySlice<UInt8> = []

    init(_ bytes: [UInt8], from start: Int) throws {
        prefixes = try DeltaDecoder(bytes, from: start)
        suffixes = try DeltaLengthDecoder(bytes, from: try prefixes.end())
    }

    mutating func next() throws -> StoredValue {
        let count = try prefixes.next()
        guard count >= 0, count <= last.count, count <= LineReader.maximumBytes else { throw damaged }
        let suffix = try suffixes.nextBytes()
        last = count == 0 ? suffix : last.prefix(Int(count)) + suffix
        return .bytes(last)
    }
}

/// Numbers whose first bytes stand together, then their second bytes, and so on (BYTE_STREAM_SPLIT).
struct SplitDecoder: ValueDecoder {
    private let bytes: [UInt8]
    private let start: Int
    private let column: ParquetColumn
    private let count: Int
    private var index = 0

    init(_ bytes: [UInt8], from start: Int, _ column: ParquetColumn) throws {
        self.bytes = bytes
        self.start = start
        self.column = column
        count = (bytes.count - start) / column.fixedLength
        guard (bytes.count - start) % column.fixedLength == 0 else { throw damaged }
    }

    mutating func next() throws -> StoredValue {
        guard index < count else { throw damaged }
        defer { index += 1 }
        return StoredValue(
            fixed: (0..<column.fixedLength).map { bytes[start + $0 * count + index] }[...], column)
    }
}

extension ParquetColumn {
    /// The bytes of a value that is neither a boolean nor a byte array.
    fileprivate var fixedLength: Int { [1: 4, 2: 8, 3: 12, 4: 4, 5: 8][type] ?? max(1, length) }
}

extension StoredValue {
    /// A value of as many bytes as the type of the column has, the least significant first.
    fileprivate init(fixed bytes: ArraySlice<UInt8>, _ column: ParquetColumn) {
        func bits() -> UInt64 { bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
        switch column.type {
        case 1: self = .integer(Int64(Int32(truncatingIfNeeded: bits())))
        case 2: self = .integer(Int64(bitPattern: bits()))
        case 4: self = .float(Float(bitPattern: UInt32(truncatingIfNeeded: bits())))
        case 5: self = .double(Double(bitPattern: bits()))
        default: self = .bytes(bytes)
        }
    }
}

/// The range after a length of four bytes.
///
/// - Throws: `FormatProblem`.
func lengthPrefixed(_ bytes: [UInt8], from start: Int) throws -> Range<Int> {
    guard bytes.count - start >= 4 else { throw damaged }
    let count = (0..<4).reduce(0) { $0 | Int(bytes[start + $1]) << (8 * $1) }
    guard count <= bytes.count - start - 4 else { throw damaged }
    return start + 4..<start + 4 + count
}
