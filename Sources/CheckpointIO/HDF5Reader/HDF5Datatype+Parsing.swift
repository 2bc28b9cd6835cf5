extension HDF5Datatype {
    /// Reads a datatype message; throws `HDF5Problem` for any type that checkpoints do not use.
    static func parse(_ cursor: inout HDF5Cursor) throws -> HDF5Datatype {
        let classAndVersion = try cursor.uint8()
        let bits = Array(try cursor.bytes(3))
        let size = try cursor.uint32()
        let version = classAndVersion >> 4
        guard (1...3).contains(version) else { throw HDF5Problem.damaged("a datatype has version \(version)") }
        switch classAndVersion & 15 {
        case 0: return .element(try integer(&cursor, bits, size))
        case 1: return .element(try float(&cursor, bits, size))
        case 3: return try text(bits, size)
        case 8: return .element(try boolean(&cursor, bits, size, version))
        case let other:
            throw HDF5Problem.unsupported("a datatype of class \(className(other))")
        }
    }

    private static func integer(_ cursor: inout HDF5Cursor, _ bits: [UInt8], _ size: Int) throws -> ElementType {
        let offset = try cursor.uint16()
        let precision = try cursor.uint16()
        guard bits[1] == 0, bits[2] == 0, bits[0] & ~8 == 0, offset == 0, precision == 8 * size else {
            throw HDF5Problem.unsupported("an integer type that is not little-endian and full-width")
        }
        switch (size, bits[0] == 8) {
        case (1, true): return .int8
        case (2, true): return .int16
        case (4, true): return .int32
        case (8, true): return .int64
        case (1, false): return .uint8
        case (2, false): return .uint16
        case (4, false): return .uint32
        case (8, false): return .uint64
        default: throw HDF5Problem.unsupported("an integer type of \(size) bytes")
        }
    }

    private static func float(_ cursor: inout HDF5Cursor, _ bits: [UInt8], _ size: Int) throws -> ElementType {
        let fields = [
            size, try cursor.uint16(), try cursor.uint16(), try cursor.uint8(), try cursor.uint8(),
            try cursor.uint8(), try cursor.uint8(), try cursor.uint32(),
        ]
        // Little-endian, zero padding, implied leading mantissa bit, sign in the highest bit.
        if bits[0] == 0x20, bits[2] == 0, Int(bits[1]) == size * 8 - 1 {
            switch fields {
            case [2, 0, 16, 10, 5, 0, 10, 15]: return .float16
            case [2, 0, 16, 7, 8, 0, 7, 127]: return .bfloat16
            case [4, 0, 32, 23, 8, 0, 23, 127]: return .float32
            case [8, 0, 64, 52, 11, 0, 52, 1023]: return .float64
            default: break
            }
        }
        throw HDF5Problem.unsupported("a floating-point type other than float16, bfloat16, float32 and float64")
    }

    private static func text(_ bits: [UInt8], _ size: Int) throws -> HDF5Datatype {
        guard bits[1] == 0, bits[2] == 0, bits[0] >> 4 <= 1, size > 0 else {
            throw HDF5Problem.unsupported("a text type that is neither ASCII nor UTF-8")
        }
        switch bits[0] & 15 {
        case 0: return .text(byteCount: size, .terminator)
        case 1: return .text(byteCount: size, .zeros)
        default: throw HDF5Problem.unsupported("a text type padded with spaces")
        }
    }

    /// Reads h5py's boolean type, the only enumeration supported: FALSE and TRUE in 8 bits.
    private static func boolean(
        _ cursor: inout HDF5Cursor, _ bits: [UInt8], _ size: Int, _ version: Int
    ) throws -> ElementType {
        let refusal = HDF5Problem.unsupported("an enumeration other than FALSE and TRUE in 8 bits")
        guard bits == [2, 0, 0], size == 1, case .element(.int8) = try parse(&cursor) else { throw refusal }
        for name in ["FALSE", "TRUE"] {
            let expected = Array(name.utf8) + [0]
            // Versions 1 and 2 pad names to eight bytes.
            let field = try cursor.bytes(version < 3 ? 8 : expected.count)
            guard field.starts(with: expected), field.dropFirst(expected.count).allSatisfy({ $0 == 0 }) else {
                throw refusal
            }
        }
        guard try cursor.bytes(2).elementsEqual([0, 1]) else { throw refusal }
        return .bool
    }

    private static func className(_ number: Int) -> String {
        switch number {
        case 2: "time"
        case 4: "bit field"
        case 5: "opaque"
        case 6: "compound"
        case 7: "reference"
        case 9: "variable length (h5py: write texts as numpy.bytes_)"
        case 10: "array"
        default: String(number)
        }
    }
}
