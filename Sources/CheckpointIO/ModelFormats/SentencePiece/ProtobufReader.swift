/// A field of a protobuf message.
struct ProtobufField {
    enum Value {
        case varint(UInt64)
        case fixed32(UInt32)
        case fixed64(UInt64)
        /// A range of the message's bytes: a string, bytes or an inner message.
        case bytes(Range<Int>)
    }

    let number: Int
    let value: Value
}

/// Reads the fields of a protobuf message, with every length checked; groups are refused.
struct ProtobufReader {
    private let path: String
    private let bytes: [UInt8]
    private var position: Int
    private let end: Int

    /// Reads a part of `bytes`; `path` is for errors.
    init(_ bytes: [UInt8], _ range: Range<Int>? = nil, path: String) {
        self.path = path
        self.bytes = bytes
        position = range?.lowerBound ?? 0
        end = range?.upperBound ?? bytes.count
    }

    /// The next field; nil at the end of the message.
    mutating func next() throws -> ProtobufField? {
        guard position < end else { return nil }
        let start = position
        let key = try varint()
        guard let number = Int(exactly: key >> 3), number > 0, number < 1 << 29 else {
            throw malformed("has no valid field number", at: start)
        }
        switch key & 7 {
        case 0: return ProtobufField(number: number, value: .varint(try varint()))
        case 1: return ProtobufField(number: number, value: .fixed64(try fixed(8)))
        case 2:
            let length = try varint()
            guard let count = Int(exactly: length), count <= end - position else {
                throw malformed("declares \(length) bytes, but \(end - position) follow", at: start)
            }
            defer { position += count }
            return ProtobufField(number: number, value: .bytes(position..<position + count))
        case 5: return ProtobufField(number: number, value: .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
        default: throw malformed("is of a kind that SentencePiece does not write", at: start)
        }
    }

    private mutating func varint() throws -> UInt64 {
        let start = position
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard position < end else { throw malformed("ends inside a number", at: start) }
            let byte = bytes[position]
            position += 1
            guard shift < 63 || byte <= 1 else { break }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw malformed("has a number of more than 64 bits", at: start)
    }

    private mutating func fixed(_ count: Int) throws -> UInt64 {
        guard count <= end - position else { throw malformed("ends inside a number", at: position) }
        defer { position += count }
        return (0..<count).reduce(0) { $0 | UInt64(bytes[position + $1]) << UInt64(8 * $1) }
    }

    private func malformed(_ reason: String, at offset: Int) -> ModelFormatError {
        .malformed(path: path, place: "byte \(offset)", reason: "a field \(reason)")
    }
}
