/// Differences of the elements of two tensors, as integers of their bits, in byte planes.
///
/// The difference d = b − a of two bit patterns wraps around at their width. Its code is 2d, or −2d − 1 if d is
/// negative, so that small steps in both directions have small codes. Planes go from the most significant byte to the
/// least.
package enum BitDifferences {
    /// Replaces the elements of `b` by the codes of their differences from `a`, and returns how many differ.
    package static func encode(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeMutableRawBufferPointer, elementSize: Int
    ) -> Int {
        switch elementSize {
        case 1: encode(a, b, UInt8.self)
        case 2: encode(a, b, UInt16.self)
        case 4: encode(a, b, UInt32.self)
        default: encode(a, b, UInt64.self)
        }
    }

    /// Adds differences, given by their codes, to elements.
    package static func apply(
        _ codes: UnsafeRawBufferPointer, to elements: UnsafeMutableRawBufferPointer, elementSize: Int
    ) {
        switch elementSize {
        case 1: apply(codes, elements, UInt8.self)
        case 2: apply(codes, elements, UInt16.self)
        case 4: apply(codes, elements, UInt32.self)
        default: apply(codes, elements, UInt64.self)
        }
    }

    /// Separates the bytes of `count` codes; plane p begins at `planes + p * stride`.
    package static func split(
        _ codes: UnsafeRawPointer, count: Int, elementSize: Int, into planes: UnsafeMutablePointer<UInt8>, stride: Int
    ) {
        switch elementSize {
        case 2: ByteShuffle.split16(codes, planes + stride, planes, count)
        case 4:
            ByteShuffle.split32(
                codes, (planes + 3 * stride, planes + 2 * stride, planes + stride, planes), count)
        default:
            for byte in 0..<elementSize {
                let plane = planes + (elementSize - 1 - byte) * stride
                for index in 0..<count {
                    plane[index] = codes.load(fromByteOffset: index &* elementSize &+ byte, as: UInt8.self)
                }
            }
        }
    }

    /// The inverse of `split`.
    package static func join(
        _ planes: UnsafePointer<UInt8>, stride: Int, count: Int, elementSize: Int, into codes: UnsafeMutableRawPointer
    ) {
        switch elementSize {
        case 2: ByteShuffle.join16(planes + stride, planes, codes, count)
        case 4:
            ByteShuffle.join32((planes + 3 * stride, planes + 2 * stride, planes + stride, planes), codes, count)
        default:
            for byte in 0..<elementSize {
                let plane = planes + (elementSize - 1 - byte) * stride
                for index in 0..<count {
                    codes.storeBytes(of: plane[index], toByteOffset: index &* elementSize &+ byte, as: UInt8.self)
                }
            }
        }
    }

    @inline(__always)
    private static func encode<Bits: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeMutableRawBufferPointer, _: Bits.Type
    ) -> Int {
        guard let old = a.baseAddress, let new = b.baseAddress else { return 0 }
        let size = MemoryLayout<Bits>.size
        let count = b.count / size
        // The greatest number that an element can count up to, so that counting uses vector instructions too.
        let blockCount = min(Int(UInt16.max), Int(clamping: Bits.max))
        var changed = 0
        for start in stride(from: 0, to: count, by: blockCount) {
            let length = min(blockCount, count &- start)
            let (older, newer) = (old + start &* size, new + start &* size)
            for index in 0..<length {
                let difference =
                    newer.loadUnaligned(fromByteOffset: index &* size, as: Bits.self)
                    &- older.loadUnaligned(fromByteOffset: index &* size, as: Bits.self)
                let code = (difference &+ difference) ^ (difference > Bits.max / 2 ? Bits.max : 0)
                newer.storeBytes(of: code, toByteOffset: index &* size, as: Bits.self)
            }
            var differing: Bits = 0
            for index in 0..<length {
                let code = newer.loadUnaligned(fromByteOffset: index &* size, as: Bits.self)
                differing &+= (code | (0 &- code)) &>> Bits(truncatingIfNeeded: Bits.bitWidth &- 1)
            }
            changed &+= Int(differing)
        }
        return changed
    }

    @inline(__always)
    private static func apply<Bits: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ codes: UnsafeRawBufferPointer, _ elements: UnsafeMutableRawBufferPointer, _: Bits.Type
    ) {
        guard let input = codes.baseAddress, let output = elements.baseAddress else { return }
        let size = MemoryLayout<Bits>.size
        for index in 0..<elements.count / size {
            let code = input.loadUnaligned(fromByteOffset: index &* size, as: Bits.self)
            let difference = code &>> 1 ^ (0 &- code & 1)
            let sum = output.loadUnaligned(fromByteOffset: index &* size, as: Bits.self) &+ difference
            output.storeBytes(of: sum, toByteOffset: index &* size, as: Bits.self)
        }
    }
}
