/// Reads consecutive little-endian fields from a block of the file; throws at the end of the block.
struct HDF5Cursor {
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    /// Bytes left.
    var remaining: Int { bytes.endIndex - position }

    mutating func bytes(_ count: Int) throws -> ArraySlice<UInt8> {
        guard count >= 0, count <= remaining else { throw HDF5Problem.damaged("a structure ends early") }
        defer { position += count }
        return bytes[position..<position + count]
    }

    mutating func skip(_ count: Int) throws { _ = try bytes(count) }

    mutating func integer<Integer: FixedWidthInteger>(_: Integer.Type) throws -> Integer {
        let field = try bytes(MemoryLayout<Integer>.size)
        return field.reversed().reduce(0) { $0 << 8 | Integer(truncatingIfNeeded: $1) }
    }

    mutating func uint8() throws -> Int { Int(try integer(UInt8.self)) }
    mutating func uint16() throws -> Int { Int(try integer(UInt16.self)) }
    mutating func uint32() throws -> Int { Int(try integer(UInt32.self)) }

    /// A length or dimension, which must fit `Int`.
    mutating func length() throws -> Int {
        guard let value = Int(exactly: try integer(UInt64.self)) else {
            throw HDF5Problem.damaged("a length is impossibly large")
        }
        return value
    }

    /// A file address; nil for HDF5's undefined address.
    mutating func address() throws -> UInt64? {
        let value = try integer(UInt64.self)
        return value == UInt64.max ? nil : value
    }

    /// Skips reserved bytes, which must be zero.
    mutating func zeros(_ count: Int) throws {
        guard try bytes(count).allSatisfy({ $0 == 0 }) else {
            throw HDF5Problem.damaged("reserved bytes are not zero")
        }
    }

    mutating func signature(_ expected: StaticString, of what: String) throws {
        let found = try bytes(expected.utf8CodeUnitCount)
        let matches = expected.withUTF8Buffer { found.elementsEqual($0) }
        guard matches else { throw HDF5Problem.damaged("\(what) has no \(expected) signature") }
    }

    /// Checks that nothing but the padding to eight bytes is left.
    func end(of what: String) throws {
        guard remaining < 8 else { throw HDF5Problem.damaged("\(what) is longer than its content") }
    }

    mutating func version(_ expected: Int, of what: String) throws {
        let found = try uint8()
        guard found == expected else {
            throw HDF5Problem.unsupported("\(what) has version \(found), only \(expected) is read")
        }
    }
}
