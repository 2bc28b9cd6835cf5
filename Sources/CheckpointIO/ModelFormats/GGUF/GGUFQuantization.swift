/// ggml's way of storing float32 in blocks.
package enum GGUFQuantization {
    /// Blocks of 32 signed bytes, each with the scale that makes its largest magnitude 127; bit for bit what ggml's
    /// reference code and the `gguf` package give.
    ///
    /// - Returns: false where a value is not finite.
    package static func encodeQ8(
        _ values: UnsafeBufferPointer<Float>, into destination: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard let input = values.baseAddress, let output = destination.baseAddress else { return true }
        for block in 0..<values.count / 32 {
            let source = input + 32 * block
            let target = output + 34 * block
            var largest: Float = 0
            var sum: Float = 0
            for j in 0..<32 {
                largest = max(largest, abs(source[j]))
                // Not finite as soon as one value is not: NaN passes through, and infinity times zero is NaN.
                sum += source[j] * 0
            }
            guard sum == 0 else { return false }
            let scale = largest / 127
            let inverse = scale == 0 ? 0 : 1 / scale
            target.storeBytes(of: ElementConversion.float32ToFloat16(scale).littleEndian, as: UInt16.self)
            for j in 0..<32 {
                let scaled = source[j] * inverse
                // Halves go away from zero. A subnormal scale has an infinite inverse; its block keeps the largest.
                let rounded = (abs(scaled) + 0.5).rounded(.down)
                let magnitude = rounded < 127 ? Int8(rounded) : 127
                target.storeBytes(of: scaled < 0 ? -magnitude : magnitude, toByteOffset: 2 + j, as: Int8.self)
            }
        }
        return true
    }
}
