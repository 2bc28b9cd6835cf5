import CFileKernels

/// Differences of the elements of two tensors, as integers of their bits, in byte planes.
///
/// The difference d = b − a of two bit patterns wraps around at their width. Its code is 2d, or −2d − 1 if d is
/// negative, so that small steps in both directions have small codes. Planes go from the most significant byte to the
/// least.
package enum BitDifferences {
    /// Writes the byte planes of the codes of the differences from elements `a` to as many elements `b`.
    ///
    /// Plane p begins at `planes + p * stride`. Elements have 1, 2, 4 or 8 bytes and are aligned. Returns how many
    /// differ.
    package static func encode(
        from a: UnsafeRawBufferPointer, to b: UnsafeRawBufferPointer, elementSize: Int,
        into planes: UnsafeMutablePointer<UInt8>, stride: Int
    ) -> Int {
        ckpt_differences(a.baseAddress, b.baseAddress, b.count / elementSize, Int32(elementSize), planes, stride)
    }

    /// The same for elements of two bytes that are planes already.
    package static func encode(
        from a: BytePlanes, to b: BytePlanes, into planes: UnsafeMutablePointer<UInt8>, stride: Int
    ) -> Int {
        ckpt_differences_of_planes(a.low, a.high, b.low, b.high, b.count, planes, stride)
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

    /// Joins the planes of `count` codes.
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
