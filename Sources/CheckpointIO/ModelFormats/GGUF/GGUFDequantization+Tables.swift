/// Blocks of four-bit numbers of values in a table.
extension GGUFDequantization {
    /// Sixteen values with smaller steps around zero.
    private static let unevenSteps: [Float] = [
        -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
    ]

    /// Twice the values of E2M1, four-bit floating point; negative zero counts as zero.
    private static let twiceE2M1: [Float] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]

    /// 16 bytes whose low nibbles are elements 0–15 and whose high nibbles are elements 16–31.
    @inline(__always)
    private static func lookUp(
        _ nibbles: UnsafePointer<UInt8>, _ table: [Float], scale: Float, _ output: UnsafeMutablePointer<Float>
    ) {
        table.withUnsafeBufferPointer { table in
            for j in 0..<16 {
                output[j] = scale * table[Int(nibbles[j] & 15)]
                output[16 &+ j] = scale * table[Int(nibbles[j] >> 4)]
            }
        }
    }

    /// Scale, then the nibbles of 32 elements.
    @inline(__always)
    static func iq4NL(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        lookUp(block + 2, unevenSteps, scale: half(block), output)
    }

    /// Scale, a word with the upper bit pairs of eight scales, four bytes with their low nibbles, and the nibbles of
    /// eight runs of 32 elements; the bias of the scales is 32.
    @inline(__always)
    static func iq4XS(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        let high = UInt16(block[2]) | UInt16(block[3]) << 8
        for run in 0..<8 {
            let low = block[4 + (run >> 1)] >> UInt8(4 * (run & 1)) & 15
            let step = Int32(low) | Int32(high >> UInt16(2 * run) & 3) << 4
            lookUp(block + 8 + 16 * run, unevenSteps, scale: scale * Float(step &- 32), output + 32 * run)
        }
    }

    /// The exponent of the scale, then the nibbles of 32 elements.
    @inline(__always)
    static func mxfp4(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        // Half of 2^(exponent - 127), which is subnormal for the two smallest exponents.
        let exponent = UInt32(block[0])
        let scale = Float(bitPattern: exponent < 2 ? 0x0020_0000 << exponent : (exponent &- 1) << 23)
        lookUp(block + 1, twiceE2M1, scale: scale, output)
    }
}
