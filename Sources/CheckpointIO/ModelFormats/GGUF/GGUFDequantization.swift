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
        case .q2K: for i in 0..<blockCount { q2K(bytes + i * stride, output + i * count) }
        case .q3K: for i in 0..<blockCount { q3K(bytes + i * stride, output + i * count) }
        case .q4K: for i in 0..<blockCount { q4K(bytes + i * stride, output + i * count) }
        case .q5K: for i in 0..<blockCount { q5K(bytes + i * stride, output + i * count) }
        case .q6K: for i in 0..<blockCount { q6K(bytes + i * stride, output + i * count) }
        case .iq4NL: for i in 0..<blockCount { iq4NL(bytes + i * stride, output + i * count) }
        case .iq4XS: for i in 0..<blockCount { iq4XS(bytes + i * stride, output + i * count) }
        case .mxfp4: for i in 0..<blockCount { mxfp4(bytes + i * stride, output + i * count) }
        case .iq1S: for i in 0..<blockCount { iq1S(bytes + i * stride, output + i * count) }
        case .iq1M: for i in 0..<blockCount { iq1M(bytes + i * stride, output + i * count) }
        case .iq2XXS: for i in 0..<blockCount { iq2XXS(bytes + i * stride, output + i * count) }
        case .iq2XS: for i in 0..<blockCount { iq2XS(bytes + i * stride, output + i * count) }
        case .iq2S: for i in 0..<blockCount { iq2S(bytes + i * stride, output + i * count) }
        case .iq3XXS: for i in 0..<blockCount { iq3XXS(bytes + i * stride, output + i * count) }
        case .iq3S: for i in 0..<blockCount { iq3S(bytes + i * stride, output + i * count) }
        case .tq10: for i in 0..<blockCount { tq10(bytes + i * stride, output + i * count) }
        case .tq20: for i in 0..<blockCount { tq20(bytes + i * stride, output + i * count) }
        }
    }

    @inline(__always)
    static func half(_ bytes: UnsafePointer<UInt8>) -> Float {
        ElementConversion.float16ToFloat32(UInt16(bytes[0]) | UInt16(bytes[1]) << 8)
    }

    @inline(__always)
    static func word(_ bytes: UnsafePointer<UInt8>) -> UInt32 {
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
}
