/// Adler-32 (RFC 1950, section 8.2).
enum Adler32 {
    private static let modulus: UInt32 = 65_521
    /// The largest number of bytes whose sums fit 32 bits, so that the remainder is taken once a block.
    private static let blockSize = 5552

    static func checksum(of bytes: UnsafeRawBufferPointer) -> UInt32 {
        var (a, b): (UInt32, UInt32) = (1, 0)
        for start in stride(from: 0, to: bytes.count, by: blockSize) {
            for byte in bytes[start..<min(start + blockSize, bytes.count)] {
                a &+= UInt32(byte)
                b &+= a
            }
            a %= modulus
            b %= modulus
        }
        return b << 16 | a
    }
}
