/// Blocks of 256 elements, whose sub-blocks have scales of their own.
extension GGUFDequantization {
    /// 16 bytes with a scale and a minimum of four bits for 16 elements each, 64 bytes of bit pairs, and the scales of
    /// both.
    ///
    /// Each half of the block has 128 elements: four runs of 32 in the same 32 bytes.
    @inline(__always)
    static func q2K(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block + 80)
        let minimumScale = half(block + 82)
        for part in 0..<2 {
            let pairs = block + 16 + 32 * part
            for run in 0..<4 {
                let scales = block + 8 * part + 2 * run
                let (d1, m1) = (scale * Float(Int32(scales[0] & 15)), minimumScale * Float(Int32(scales[0] >> 4)))
                let (d2, m2) = (scale * Float(Int32(scales[1] & 15)), minimumScale * Float(Int32(scales[1] >> 4)))
                let target = output + 128 * part + 32 * run
                let shift = UInt8(2 * run)
                for j in 0..<16 {
                    target[j] = d1 * Float(Int32(pairs[j] >> shift & 3)) - m1
                    target[16 &+ j] = d2 * Float(Int32(pairs[16 &+ j] >> shift & 3)) - m2
                }
            }
        }
    }

    /// 32 bytes whose bit `r` is the third bit of run `r`, 64 bytes of bit pairs, 12 bytes with 16 scales of six bits,
    /// and their scale.
    ///
    /// An element is its bit pair, less 4 if its third bit is not set; the bias of the scales is 32.
    @inline(__always)
    static func q3K(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block + 108)
        let packed = block + 96
        for part in 0..<2 {
            let pairs = block + 32 + 32 * part
            for run in 0..<4 {
                let (first, second) = (8 * part + 2 * run, 8 * part + 2 * run + 1)
                let d1 = scale * Float(sixBitScale(packed, first) &- 32)
                let d2 = scale * Float(sixBitScale(packed, second) &- 32)
                let target = output + 128 * part + 32 * run
                let shift = UInt8(2 * run)
                let highShift = UInt8(4 * part + run)
                for j in 0..<16 {
                    let low = Int32(pairs[j] >> shift & 3 | (block[j] >> highShift & 1) << 2) &- 4
                    let up = Int32(pairs[16 &+ j] >> shift & 3 | (block[16 &+ j] >> highShift & 1) << 2) &- 4
                    target[j] = d1 * Float(low)
                    target[16 &+ j] = d2 * Float(up)
                }
            }
        }
    }

    /// The scale of sub-block `j`, 0–15, in the twelve bytes of Q3_K: four low bits in the first eight, then pairs.
    @inline(__always)
    private static func sixBitScale(_ packed: UnsafePointer<UInt8>, _ j: Int) -> Int32 {
        let low = packed[j & 7] >> UInt8(4 * (j >> 3)) & 15
        let high = packed[8 + (j & 3)] >> UInt8(2 * (j >> 2)) & 3
        return Int32(low | high << 4)
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
    static func q4K(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
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
    static func q5K(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
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
    static func q6K(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
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
