/// HDF5's shuffle filter, which groups the bytes of elements into planes: all first bytes, then all second bytes, etc.
///
/// This brings the exponents of floating-point numbers together. Bytes after the last whole element are copied. The
/// loops work on whole words so that the compiler vectorises them.
enum ByteShuffle {
    /// Converts elements to planes; the buffers have equal lengths and do not overlap.
    static func shuffle(
        _ source: UnsafeRawBufferPointer, elementSize: Int, into destination: UnsafeMutableRawBufferPointer
    ) {
        guard let input = source.baseAddress, let output = destination.baseAddress else { return }
        let count = source.count / elementSize
        let planes = output.assumingMemoryBound(to: UInt8.self)
        switch elementSize {
        case 2: split16(input, planes, planes + count, count)
        case 4: split32(input, (planes, planes + count, planes + 2 * count, planes + 3 * count), count)
        default:
            for byte in 0..<elementSize {
                let plane = planes + byte * count
                for index in 0..<count {
                    plane[index] = input.load(fromByteOffset: index &* elementSize &+ byte, as: UInt8.self)
                }
            }
        }
        copyRemainder(input, output, from: count * elementSize, to: source.count)
    }

    /// Converts planes to elements, the inverse of `shuffle`.
    static func unshuffle(
        _ source: UnsafeRawBufferPointer, elementSize: Int, into destination: UnsafeMutableRawBufferPointer
    ) {
        guard let input = source.baseAddress, let output = destination.baseAddress else { return }
        let count = source.count / elementSize
        let planes = input.assumingMemoryBound(to: UInt8.self)
        switch elementSize {
        case 2: join16(planes, planes + count, output, count)
        case 4: join32((planes, planes + count, planes + 2 * count, planes + 3 * count), output, count)
        default:
            for byte in 0..<elementSize {
                let plane = planes + byte * count
                for index in 0..<count {
                    output.storeBytes(of: plane[index], toByteOffset: index &* elementSize &+ byte, as: UInt8.self)
                }
            }
        }
        copyRemainder(input, output, from: count * elementSize, to: source.count)
    }

    private static func copyRemainder(
        _ input: UnsafeRawPointer, _ output: UnsafeMutableRawPointer, from start: Int, to end: Int
    ) {
        if end > start { (output + start).copyMemory(from: input + start, byteCount: end - start) }
    }

    /// Separates the low and high bytes of `count` elements of two bytes.
    static func split16(
        _ input: UnsafeRawPointer, _ low: UnsafeMutablePointer<UInt8>, _ high: UnsafeMutablePointer<UInt8>, _ count: Int
    ) {
        for index in 0..<count {
            let word = input.loadUnaligned(fromByteOffset: index &* 2, as: UInt16.self)
            low[index] = UInt8(truncatingIfNeeded: word)
            high[index] = UInt8(truncatingIfNeeded: word >> 8)
        }
    }

    /// Separates the four bytes of `count` elements of four bytes.
    static func split32(
        _ input: UnsafeRawPointer,
        _ planes: (
            UnsafeMutablePointer<UInt8>, UnsafeMutablePointer<UInt8>, UnsafeMutablePointer<UInt8>,
            UnsafeMutablePointer<UInt8>
        ), _ count: Int
    ) {
        let (first, second, third, fourth) = planes
        for index in 0..<count {
            let word = input.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self)
            first[index] = UInt8(truncatingIfNeeded: word)
            second[index] = UInt8(truncatingIfNeeded: word >> 8)
            third[index] = UInt8(truncatingIfNeeded: word >> 16)
            fourth[index] = UInt8(truncatingIfNeeded: word >> 24)
        }
    }

    /// The inverse of `split16`.
    static func join16(
        _ low: UnsafePointer<UInt8>, _ high: UnsafePointer<UInt8>, _ output: UnsafeMutableRawPointer, _ count: Int
    ) {
        for index in 0..<count {
            output.storeBytes(
                of: UInt16(low[index]) | UInt16(high[index]) << 8, toByteOffset: index &* 2, as: UInt16.self)
        }
    }

    /// The inverse of `split32`.
    static func join32(
        _ planes: (UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>),
        _ output: UnsafeMutableRawPointer, _ count: Int
    ) {
        let (first, second, third, fourth) = planes
        for index in 0..<count {
            let low = UInt32(first[index]) | UInt32(second[index]) << 8
            let high = UInt32(third[index]) << 16 | UInt32(fourth[index]) << 24
            output.storeBytes(of: low | high, toByteOffset: index &* 4, as: UInt32.self)
        }
    }
}
