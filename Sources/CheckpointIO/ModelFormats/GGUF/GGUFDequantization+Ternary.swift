/// Blocks of 256 elements of -1, 0 and 1 times a scale.
extension GGUFDequantization {
    /// 48 bytes of five elements and 4 bytes of four, then the scale.
    ///
    /// A byte is a number below 1 in base 3, times 256. The first digits of 32 bytes are elements 0–31, their second
    /// digits 32–63 and so on to 159; the next 16 bytes have elements 160–239 in the same way, the last four 240–255.
    static func tq10(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block + 52)
        var target = output
        for (start, count, digits) in [(0, 32, 5), (32, 16, 5), (48, 4, 4)] {
            var power: UInt8 = 1
            for _ in 0..<digits {
                for j in 0..<count {
                    let digit = (UInt16(block[start + j] &* power) &* 3) >> 8
                    target[j] = scale * Float(Int32(digit) &- 1)
                }
                target += count
                power &*= 3
            }
        }
    }

    /// 64 bytes of bit pairs, four runs of 32 elements in the same 32 bytes, then the scale.
    @inline(__always)
    static func tq20(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block + 64)
        for part in 0..<2 {
            for run in 0..<4 {
                let target = output + 128 * part + 32 * run
                for j in 0..<32 {
                    target[j] = scale * Float(Int32(block[32 * part + j] >> UInt8(2 * run) & 3) &- 1)
                }
            }
        }
    }
}
