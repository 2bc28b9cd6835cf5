/// Floating-point elements of one byte in safetensors, which are read as the float32 values they stand for.
package enum Float8Type: String, Sendable, CaseIterable {
    /// Four bits of exponent, three of mantissa, and no infinite values.
    case e4m3 = "F8_E4M3"
    /// Five bits of exponent and two of mantissa: the upper half of a float16.
    case e5m2 = "F8_E5M2"

    /// The values of all bytes.
    private var values: [Float] {
        (0..<256).map { (bits: Int) -> Float in
            guard self == .e4m3 else { return ElementConversion.float16ToFloat32(UInt16(bits) << 8) }
            let (exponent, mantissa) = (bits >> 3 & 15, Float(bits & 7))
            let magnitude: Float =
                switch (exponent, bits & 7) {
                case (15, 7): .nan
                case (0, _): mantissa * Self.leastE4M3
                default: (8 + mantissa) * Self.leastE4M3 * Float(1 << (exponent - 1))
                }
            return bits & 128 == 0 ? magnitude : -magnitude
        }
    }

    /// 2⁻⁹, the smallest value of E4M3 above zero.
    private static let leastE4M3: Float = 1 / 512

    private static let tables = Dictionary(uniqueKeysWithValues: allCases.map { ($0, $0.values) })

    /// Decodes bytes to as many values.
    package func decode(_ bytes: UnsafeRawBufferPointer, into values: UnsafeMutableBufferPointer<Float>) {
        (Self.tables[self] ?? []).withUnsafeBufferPointer { table in
            for index in 0..<min(bytes.count, values.count) { values[index] = table[Int(bytes[index])] }
        }
    }
}
