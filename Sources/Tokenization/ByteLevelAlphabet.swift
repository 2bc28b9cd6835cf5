import OrderedJSON

/// The GPT-2 alphabet: each of the 256 bytes as one printable character, so that a vocabulary can be written as text.
///
/// Printable bytes of Latin-1 stand for themselves; the other 68 become U+0100 and up, in order.
enum ByteLevelAlphabet {
    /// The scalar that stands for each byte.
    static let scalars: [Unicode.Scalar] = {
        var next: UInt32 = 0x100
        return (0..<256).map { byte in
            if (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte) {
                return Unicode.Scalar(UInt8(byte))
            }
            defer { next += 1 }
            return Unicode.Scalar(next)!
        }
    }()

    /// The byte behind a scalar, by its value; -1 where it stands for none.
    private static let bytes: [Int16] = {
        var table = [Int16](repeating: -1, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { table[Int(scalar.value)] = Int16(byte) }
        return table
    }()

    static func byte(for scalar: Unicode.Scalar) -> UInt8? {
        guard scalar.value < UInt32(bytes.count), bytes[Int(scalar.value)] >= 0 else { return nil }
        return UInt8(bytes[Int(scalar.value)])
    }

    /// The bytes that a vocabulary entry stands for, or nil where it has a character from outside the alphabet.
    static func bytes(of token: String) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(token.utf8.count)
        for scalar in token.unicodeScalars {
            guard let byte = byte(for: scalar) else { return nil }
            result.append(byte)
        }
        return result
    }

    /// The text that stands for these bytes in a vocabulary.
    static func text(of bytes: some Sequence<UInt8>) -> String {
        var result = TextBuffer()
        for byte in bytes { result.append(scalars[Int(byte)]) }
        return result.text
    }
}
