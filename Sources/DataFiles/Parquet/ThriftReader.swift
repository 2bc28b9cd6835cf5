/// Reads Thrift's compact protocol, in which the metadata of Parquet is written.
struct ThriftReader {
    /// A field of a structure: its number and the type of its value.
    struct Field {
        let id: Int
        let type: UInt8
    }

    private static let maximumDepth = 24

    private let bytes: [UInt8]
    private(set) var position: Int
    private var depth = 0

    init(_ bytes: [UInt8], position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }

    /// Reads a structure; `body` must read or skip the value of each field.
    ///
    /// - Throws: `FormatProblem`, and the errors of `body`.
    mutating func structure(_ body: (inout ThriftReader, Field) throws -> Void) throws {
        guard depth < Self.maximumDepth else { throw FormatProblem("the metadata is nested too deeply") }
        depth += 1
        var id = 0
        while true {
            let header = try byte()
            if header == 0 { break }
            let delta = Int(header >> 4)
            id = delta == 0 ? Int(truncatingIfNeeded: try zigzag()) : id + delta
            try body(&self, Field(id: id, type: header & 15))
        }
        depth -= 1
    }

    /// Reads a structure that is the value of a field.
    ///
    /// - Throws: `FormatProblem`, and the errors of `body`.
    mutating func structure(_ field: Field, _ body: (inout ThriftReader, Field) throws -> Void) throws {
        try expect(field, 12)
        try structure(body)
    }

    /// Reads a list; `body` must read or skip each element, which has the type of the field that it gets.
    ///
    /// - Throws: `FormatProblem`, and the errors of `body`.
    mutating func list(_ field: Field, _ body: (inout ThriftReader, Field) throws -> Void) throws {
        guard field.type == 9 || field.type == 10 else { throw malformed }
        let header = try byte()
        let count = header >> 4 == 15 ? Int(truncatingIfNeeded: try varint()) : Int(header >> 4)
        // Every element takes at least one byte.
        guard count >= 0, count <= bytes.count - position else { throw malformed }
        for _ in 0..<count { try body(&self, Field(id: 0, type: header & 15)) }
    }

    /// - Throws: `FormatProblem`.
    mutating func integer(_ field: Field) throws -> Int {
        if field.type == 3 { return Int(Int8(bitPattern: try byte())) }
        guard (4...6).contains(field.type) else { throw malformed }
        return Int(try zigzag())
    }

    /// - Throws: `FormatProblem`.
    mutating func bool(_ field: Field) throws -> Bool {
        guard field.type == 1 || field.type == 2 else { throw malformed }
        return field.type == 1
    }

    /// - Throws: `FormatProblem`.
    mutating func text(_ field: Field) throws -> String {
        try expect(field, 8)
        let range = try binary()
        guard let text = String(validating: bytes[range], as: UTF8.self) else { throw malformed }
        return text
    }

    /// Passes over the value of a field.
    ///
    /// - Throws: `FormatProblem`.
    mutating func skip(_ field: Field) throws {
        switch field.type {
        case 1, 2: break
        case 3: _ = try byte()
        case 4, 5, 6: _ = try varint()
        case 7: try advance(8)
        case 8: _ = try binary()
        case 9, 10:
            guard depth < Self.maximumDepth else { throw malformed }
            depth += 1
            try list(field) { (reader, element) throws in
                // A boolean takes a byte in a list.
                if element.type == 1 || element.type == 2 { try reader.advance(1) } else { try reader.skip(element) }
            }
            depth -= 1
        case 12: try structure { (reader, field) throws in try reader.skip(field) }
        case 13: try advance(16)
        default: throw malformed
        }
    }

    private var malformed: FormatProblem { FormatProblem("the metadata is damaged") }

    private func expect(_ field: Field, _ type: UInt8) throws {
        guard field.type == type else { throw malformed }
    }

    private mutating func advance(_ count: Int) throws {
        guard count <= bytes.count - position else { throw malformed }
        position += count
    }

    private mutating func byte() throws -> UInt8 {
        guard position < bytes.count else { throw malformed }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func binary() throws -> Range<Int> {
        let count = Int(truncatingIfNeeded: try varint())
        guard count >= 0, count <= bytes.count - position else { throw malformed }
        defer { position += count }
        return position..<position + count
    }

    private mutating func varint() throws -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            let byte = try byte()
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw malformed
    }

    private mutating func zigzag() throws -> Int64 {
        let value = try varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }
}
