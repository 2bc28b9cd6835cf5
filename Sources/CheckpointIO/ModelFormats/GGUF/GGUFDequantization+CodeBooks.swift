/// Blocks of 256 elements that are numbers of vectors in a code book, each with scales for runs of elements.
///
/// Signs with seven bits for eight elements have an even number of negative elements, which gives the eighth.
extension GGUFDequantization {
    /// `scale` times a vector; the bits of `signs` say which elements are negative.
    @inline(__always)
    private static func write(
        _ vector: UnsafePointer<Float>, count: Int, scale: Float, signs: UInt8, _ output: UnsafeMutablePointer<Float>
    ) {
        for j in 0..<count {
            let sign = UInt32(signs >> UInt8(j) & 1) << 31
            output[j] = Float(bitPattern: (scale * vector[j]).bitPattern ^ sign)
        }
    }

    /// `scale` times a vector whose elements are shifted.
    @inline(__always)
    private static func write(
        _ vector: UnsafePointer<Float>, shift: Float, scale: Float, _ output: UnsafeMutablePointer<Float>
    ) {
        for j in 0..<8 { output[j] = scale * (vector[j] + shift) }
    }

    /// The eight signs of seven bits.
    @inline(__always)
    private static func evenSigns(_ bits: UInt32) -> UInt8 {
        let bits = UInt8(truncatingIfNeeded: bits & 127)
        return bits | UInt8(truncatingIfNeeded: bits.nonzeroBitCount & 1) << 7
    }

    @inline(__always)
    private static func word16(_ bytes: UnsafePointer<UInt8>) -> UInt16 { UInt16(bytes[0]) | UInt16(bytes[1]) << 8 }

    @inline(__always)
    private static func nibble(_ bytes: UnsafePointer<UInt8>, _ index: Int) -> Float {
        Float(Int32(bytes[index >> 1] >> UInt8(4 * (index & 1)) & 15))
    }

    /// Scale, then for each run of 32 elements four numbers of 8 bits and a word with their signs and, in its upper
    /// four bits, the scale of the run.
    static func iq2XXS(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        GGUFCodeBook.iq2XXS.withVectors { book in
            for run in 0..<8 {
                let numbers = block + 2 + 8 * run
                let signs = word(numbers + 4)
                let step = scale * (0.5 + Float(signs >> 28)) * 0.25
                for part in 0..<4 {
                    write(
                        book + 8 * Int(numbers[part]), count: 8, scale: step,
                        signs: evenSigns(signs >> UInt32(7 * part)), output + 32 * run + 8 * part)
                }
            }
        }
    }

    /// Scale, then for eight elements each a number of nine bits with seven of signs, and four bits for the scale of
    /// each run of 16.
    static func iq2XS(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        GGUFCodeBook.iq2XS.withVectors { book in
            for part in 0..<32 {
                let number = word16(block + 2 + 2 * part)
                let step = scale * (0.5 + nibble(block + 66, part >> 1)) * 0.25
                write(
                    book + 8 * Int(number & 511), count: 8, scale: step, signs: evenSigns(UInt32(number >> 9)),
                    output + 8 * part)
            }
        }
    }

    /// Scale, the low bytes of 32 numbers, their signs, their upper bit pairs, and four bits for the scale of each run
    /// of 16.
    static func iq2S(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        GGUFCodeBook.iq2S.withVectors { book in
            for part in 0..<32 {
                let number = Int(block[2 + part]) | Int(block[66 + part >> 2] >> UInt8(2 * (part & 3)) & 3) << 8
                let step = scale * (0.5 + nibble(block + 74, part >> 1)) * 0.25
                write(book + 8 * number, count: 8, scale: step, signs: block[34 + part], output + 8 * part)
            }
        }
    }

    /// Scale, for four elements each a number of 8 bits, and for each run of 32 a word as in IQ2_XXS.
    static func iq3XXS(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        GGUFCodeBook.iq3XXS.withVectors { book in
            for run in 0..<8 {
                let bits = word(block + 66 + 4 * run)
                let step = scale * (0.5 + Float(bits >> 28)) * 0.5
                for part in 0..<4 {
                    let numbers = block + 2 + 8 * run + 2 * part
                    let signs = evenSigns(bits >> UInt32(7 * part))
                    let target = output + 32 * run + 8 * part
                    write(book + 4 * Int(numbers[0]), count: 4, scale: step, signs: signs, target)
                    write(book + 4 * Int(numbers[1]), count: 4, scale: step, signs: signs >> 4, target + 4)
                }
            }
        }
    }

    /// Scale, the low bytes of 64 numbers, their ninth bits, the signs, and four bits for the scale of each run of 32.
    static func iq3S(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        GGUFCodeBook.iq3S.withVectors { book in
            for part in 0..<64 {
                let number = Int(block[2 + part]) | Int(block[66 + part >> 3] >> UInt8(part & 7) & 1) << 8
                let step = scale * (1 + 2 * nibble(block + 106, part >> 3))
                let signs = block[74 + part >> 1] >> UInt8(4 * (part & 1))
                write(book + 4 * number, count: 4, scale: step, signs: signs, output + 4 * part)
            }
        }
    }

    /// Scale, the low bytes of 32 numbers, and for each run of 32 elements two bytes: three upper bits for each of four
    /// numbers, three of the scale, and the sign of the shift.
    static func iq1S(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let scale = half(block)
        GGUFCodeBook.iq1.withVectors { book in
            for run in 0..<8 {
                let bits = word16(block + 34 + 2 * run)
                let step = scale * Float(2 * (bits >> 12 & 7) + 1)
                let shift: Float = bits & 0x8000 == 0 ? 0.125 : -0.125
                for part in 0..<4 {
                    let number = Int(block[2 + 4 * run + part]) | Int(bits >> UInt16(3 * part) & 7) << 8
                    write(book + 8 * number, shift: shift, scale: step, output + 32 * run + 8 * part)
                }
            }
        }
    }

    /// The low bytes of 32 numbers, four bits for each (three upper ones and the sign of its shift), and four words:
    /// each has three bits for the scales of four runs of 16 elements, and a nibble of the scale of the block.
    static func iq1M(_ block: UnsafePointer<UInt8>, _ output: UnsafeMutablePointer<Float>) {
        let words = block + 48
        let bits = (0..<4).reduce(UInt16(0)) { $0 | (word16(words + 2 * $1) >> 12) << UInt16(4 * $1) }
        let scale = ElementConversion.float16ToFloat32(bits)
        GGUFCodeBook.iq1.withVectors { book in
            for part in 0..<32 {
                let run = part >> 1
                let step = scale * Float(2 * (word16(words + 2 * (run >> 2)) >> UInt16(3 * (run & 3)) & 7) + 1)
                let upper = block[32 + run] >> UInt8(4 * (part & 1))
                let number = Int(block[part]) | Int(upper & 7) << 8
                write(
                    book + 8 * number, shift: upper & 8 == 0 ? 0.125 : -0.125, scale: step, output + 8 * part)
            }
        }
    }
}
