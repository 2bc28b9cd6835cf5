/// Encodes float32 values as ggml's quantised blocks.
package enum GGUFQuantization {
    /// Encodes values as Q8_0; returns false if a value is not finite.
    ///
    /// A block has 32 signed bytes and the scale that makes its largest magnitude 127. The result has the same bits as
    /// that of ggml's reference code and the `gguf` package.
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
                // Becomes NaN if any value is not finite, since infinity times zero is NaN.
                sum += source[j] * 0
            }
            guard sum == 0 else { return false }
            let scale = largest / 127
            let inverse = scale == 0 ? 0 : 1 / scale
            target.storeBytes(of: ElementConversion.float32ToFloat16(scale).littleEndian, as: UInt16.self)
            for j in 0..<32 {
                let scaled = source[j] * inverse
                // Halves round away from zero. If the scale is subnormal, its inverse is infinite; clamp to 127.
                let rounded = (abs(scaled) + 0.5).rounded(.down)
                let magnitude = rounded < 127 ? Int8(rounded) : 127
                target.storeBytes(of: scaled < 0 ? -magnitude : magnitude, toByteOffset: 2 + j, as: Int8.self)
            }
        }
        return true
    }
}
