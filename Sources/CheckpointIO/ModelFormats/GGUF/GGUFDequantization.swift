/// Decodes ggml's quantised blocks to float32, bit for bit like ggml's reference code and the `gguf` package.
///
/// The layouts are those of ggml's `block_q…` structures. Products are computed in the same order and never fused.
package enum GGUFDequantization {
    /// Decodes `blockCount` blocks of a quantised type to `blockCount * type.blockElementCount` values.
    package static func decode(
        _ type: GGUFTensorType, _ blocks: UnsafeRawPointer, blockCount: Int, into output: UnsafeMutablePointer<Float>
    ) {
        let bytes = blocks.assumingMemoryBound(to: UInt8.self)
        let stride = type.blockByteCount
        let count = type.blockElementCount
        switch type {
        case .f32, .f16, .bf16: break
        case .q40: for i in 0..<blockCount { q40(bytes + i * stride, output + i * count) }
        case .q41: for i in 0..<blockCount { q41(bytes + i * stride, output + i * count) }
        case .q50: for i in 0..<blockCount { q50(bytes + i * stride, output + i * count) }
        case .q51: for i in 0..<blockCount { q51(bytes + i * stride, output + i * count) }
        case .q80: for i in 0..<blockCount { q80(bytes + i * stride, output + i * count) }
        case .q4K: for i in 0..<blockCount { q4K(bytes + i * stride, output + i * count) }
        case .q5K: for i in 0..<blockCount { q5K(bytes + i * stride, output + i * count) }
        case .q6K: for i in 0..<blockCount { q6K(bytes + i * stride, output + i * count) }
        }
    }

    @inline(__always)
    private static func half(_ bytes: UnsafePointer<UInt8>) -> Float {
        ElementConversion.float16ToFloat32(UInt16(bytes[0]) | UInt16(bytes[1]) << 8)
    }

    @inline(__always)
    private static func word(_ bytes: UnsafePointer<UInt8>) -> UInt32 {
        UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16 | UInt32(bytes[3]) << 24
    }

    /// Scale, then 16 bytes whose low nibbles are elements 0–15 and whose high nibbles are elements 16–31; bias 8.
    @inline(__always)
    private static func q40(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        for j in 0..<16 {
            let pair = block[2 &+ j]
            output[j] = Float(Int32(pair & 15) &- 8) * scale
            output[16 &+ j] = Float(Int32(pair >> 4) &- 8) * scale
        }
    }

    /// Scale and minimum, then nibbles as in Q4_0 without bias.
    @inline(__always)
    private static func q41(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        let minimum = half(block + 2)
        for j in 0..<16 {
            let pair = block[4 &+ j]
            output[j] = Float(Int32(pair & 15)) * scale + minimum
            output[16 &+ j] = Float(Int32(pair >> 4)) * scale + minimum
        }
    }

    /// Scale, a word with the fifth bits, then nibbles; bias 16.
    @inline(__always)
    private static func q50(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        let high = word(block + 2)
        for j in 0..<16 {
            let pair = UInt32(block[6 &+ j])
            let low = pair & 15 | (high >> UInt32(j)) << 4 & 16
            let up = pair >> 4 | (high >> UInt32(j &+ 12)) & 16
            output[j] = Float(Int32(bitPattern: low) &- 16) * scale
            output[16 &+ j] = Float(Int32(bitPattern: up) &- 16) * scale
        }
    }

    /// Scale and minimum, then fifth bits and nibbles as in Q5_0 without bias.
    @inline(__always)
    private static func q51(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        let minimum = half(block + 2)
        let high = word(block + 4)
        for j in 0..<16 {
            let pair = UInt32(block[8 &+ j])
            let low = pair & 15 | (high >> UInt32(j)) << 4 & 16
            let up = pair >> 4 | (high >> UInt32(j &+ 12)) & 16
            output[j] = Float(Int32(bitPattern: low)) * scale + minimum
            output[16 &+ j] = Float(Int32(bitPattern: up)) * scale + minimum
        }
    }

    /// Scale, then 32 signed bytes.
    @inline(__always)
    private static func q80(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        for j in 0..<32 { output[j] = Float(Int8(bitPattern: block[2 &+ j])) * scale }
    }

    /// The six-bit scale and minimum of sub-block `j`, 0–7, in the twelve packed bytes of Q4_K and Q5_K.
    @inline(__always)
    private static func scaleAndMinimum(_ packed: UnsafePointer<UInt8>, _ j: Int) -> (scale: Float, minimum: Float) {
        if j < 4 { return (Float(Int32(packed[j] & 63)), Float(Int32(packed[j &+ 4] & 63))) }
        let scale = packed[j &+ 4] & 15 | (packed[j &- 4] >> 6) << 4
        let minimum = packed[j &+ 4] >> 4 | (packed[j] >> 6) << 4
        return (Float(Int32(scale)), Float(Int32(minimum)))
    }

    /// Scales of the packed scales and minima, the packed values, then 8 sub-blocks of 32 elements.
    ///
    /// Each 32 bytes contain two sub-blocks, in low and high nibbles.
    @inline(__always)
    private static func q4K(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        let minimumScale = half(block + 2)
        for pair in 0..<4 {
            let nibbles = block + 16 + 32 * pair
            let first = scaleAndMinimum(block + 4, 2 * pair)
            let second = scaleAndMinimum(block + 4, 2 * pair + 1)
            let (d1, m1) = (scale * first.scale, minimumScale * first.minimum)
            let (d2, m2) = (scale * second.scale, minimumScale * second.minimum)
            let target = output + 64 * pair
            for j in 0..<32 {
                target[j] = d1 * Float(Int32(nibbles[j] & 15)) - m1
                target[32 &+ j] = d2 * Float(Int32(nibbles[j] >> 4)) - m2
            }
        }
    }

    /// Like Q4_K, with 32 bytes before the nibbles whose bit `s` is the fifth bit of sub-block `s`.
    @inline(__always)
    private static func q5K(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        let minimumScale = half(block + 2)
        let high = block + 16
        for pair in 0..<4 {
            let nibbles = block + 48 + 32 * pair
            let first = scaleAndMinimum(block + 4, 2 * pair)
            let second = scaleAndMinimum(block + 4, 2 * pair + 1)
            let (d1, m1) = (scale * first.scale, minimumScale * first.minimum)
            let (d2, m2) = (scale * second.scale, minimumScale * second.minimum)
            let target = output + 64 * pair
            let shift = UInt8(2 * pair)
            for j in 0..<32 {
                let low = nibbles[j] & 15 | (high[j] >> shift) << 4 & 16
                let up = nibbles[j] >> 4 | (high[j] >> (shift &+ 1)) << 4 & 16
                target[j] = d1 * Float(Int32(low)) - m1
                target[32 &+ j] = d2 * Float(Int32(up)) - m2
            }
        }
    }

    /// 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales for 16 elements each, and their scale.
    ///
    /// The bias is 32. Each half of the block has 128 elements: four runs of 32 in the same 64 + 32 bytes.
    @inline(__always)
    private static func q6K(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block + 208)
        for part in 0..<2 {
            let low = block + 64 * part
            let high = block + 128 + 32 * part
            let scales = block + 192 + 8 * part
            let target = output + 128 * part
            for run in 0..<4 {
                let nibbles = low + 32 * (run & 1)
                let nibbleShift = UInt8(run >> 1) * 4
                let highShift = UInt8(run) * 2
                let d1 = scale * Float(Int8(bitPattern: scales[2 * run]))
                let d2 = scale * Float(Int8(bitPattern: scales[2 * run + 1]))
                for j in 0..<32 {
                    let value = (nibbles[j] >> nibbleShift) & 15 | ((high[j] >> highShift) & 3) << 4
                    target[32 * run + j] = (j < 16 ? d1 : d2) * Float(Int32(value) &- 32)
                }
            }
        }
    }
}
