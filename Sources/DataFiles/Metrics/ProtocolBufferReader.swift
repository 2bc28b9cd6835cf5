/// Reads the fields of a protocol buffer message, which comes from outside.
struct ProtocolBufferReader {
    enum Value {
        case integer(UInt64)
        case fixed64(UInt64)
        case fixed32(UInt32)
        case bytes(ArraySlice<UInt8>)

        /// The text of a string; nil of another type, or if it is not valid UTF-8.
        var text: String? {
            guard case .bytes(let bytes) = self else { return nil }
            return String(validating: bytes, as: UTF8.self)
        }
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// The next field; nil at the end.
    ///
    /// - Throws: `FormatProblem` if the bytes are not a message.
    mutating func next() throws -> (field: Int, value: Value)? {
        guard !rest.isEmpty else { return nil }
        let key = try integer()
        let field = Int(truncatingIfNeeded: key >> 3)
        guard (1...0x1FFF_FFFF).contains(field) else {
            throw FormatProblem("a message has a field without a number")
        }
        switch key & 7 {
        case 0: return (field, .integer(try integer()))
        case 1: return (field, .fixed64(littleEndian(try take(8))))
        case 2:
            let count = try integer()
            guard count <= UInt64(rest.count) else { throw Self.cut }
            return (field, .bytes(try take(Int(count))))
        case 5: return (field, .fixed32(littleEndian(try take(4))))
        default: throw FormatProblem("a message has a field of unknown type \(key & 7)")
        }
    }

    private static let cut = FormatProblem("a message is cut off")

    private mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
        guard count <= rest.count else { throw Self.cut }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    private mutating func integer() throws -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = rest.popFirst() else { throw Self.cut }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        throw FormatProblem("a message has a number of over ten bytes")
    }
}

/// The number that bytes stand for, least significant byte first.
func littleEndian<Number: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>) -> Number {
    bytes.reversed().reduce(0) { $0 << 8 | Number($1) }
}
