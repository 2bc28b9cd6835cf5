import Glibc

/// The LZF filter of h5py (number 32000), which libhdf5 does not have.
///
/// The format is that of LibLZF: a control byte below 32 precedes that many literals and one more; any other one holds
/// a length in its upper three bits (7: one more byte follows) and, with the next byte, a distance of 13 bits.
enum LZFFilter {
    static let number: Int32 = 32000

    /// Decompresses `input` into `output`; returns the number of bytes, or nil if `input` is damaged or does not fit.
    static func decompress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        var (read, written) = (0, 0)
        while read < input.count {
            let control = Int(input[read])
            read += 1
            if control < 32 {
                let count = control + 1
                guard count <= input.count - read, count <= output.count - written else { return nil }
                for index in 0..<count { output[written + index] = input[read + index] }
                read += count
                written += count
                continue
            }
            var length = control >> 5
            if length == 7 {
                guard read < input.count else { return nil }
                length += Int(input[read])
                read += 1
            }
            length += 2
            guard read < input.count else { return nil }
            let distance = (control & 31) << 8 + Int(input[read]) + 1
            read += 1
            guard distance <= written, length <= output.count - written else { return nil }
            // The ranges may overlap, so bytes are copied one after the other.
            for index in written..<written + length { output[index] = output[index - distance] }
            written += length
        }
        return written
    }

    /// The library's allocation functions, for the filter, which has no other way to them.
    nonisolated(unsafe) private static var library: HDF5Library?

    /// Registers the filter for decompression.
    static func register(_ library: HDF5Library) {
        Self.library = library
        // H5Z_class2_t: version, number, can encode, can decode, name, two callbacks, the filter.
        let description = UnsafeMutableRawPointer.allocate(byteCount: 48, alignment: 8)
        description.initializeMemory(as: UInt8.self, repeating: 0, count: 48)
        description.storeBytes(of: 1, as: Int32.self)
        description.storeBytes(of: number, toByteOffset: 4, as: Int32.self)
        description.storeBytes(of: 1, toByteOffset: 12, as: UInt32.self)
        description.storeBytes(of: strdup("lzf"), toByteOffset: 16, as: UnsafeMutablePointer<CChar>?.self)
        let filter: Filter = { flags, count, values, size, capacity, buffer in
            LZFFilter.filter(flags, count, values, size, capacity, buffer)
        }
        description.storeBytes(of: filter, toByteOffset: 40, as: Filter.self)
        _ = library.registerFilter(description)
    }

    private typealias Filter =
        @convention(c) (
            UInt32, Int, UnsafePointer<UInt32>?, Int, UnsafeMutablePointer<Int>?,
            UnsafeMutablePointer<UnsafeMutableRawPointer?>?
        ) -> Int

    /// The largest chunk of HDF5.
    private static let maximumByteCount = Int(UInt32.max)

    /// Replaces the buffer by its decompressed bytes, and returns their number; 0 is a failure.
    private static func filter(
        _ flags: UInt32, _ valueCount: Int, _ values: UnsafePointer<UInt32>?, _ size: Int,
        _ capacity: UnsafeMutablePointer<Int>?, _ buffer: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    ) -> Int {
        // h5py stores the size of a chunk as the third value.
        guard flags & 0x100 != 0, let library, let values, valueCount >= 3, let input = buffer?.pointee else {
            return 0
        }
        let target = min(maximumByteCount, Int(values[2]))
        guard target > 0, let output = library.allocateMemory(target, 0) else { return 0 }
        guard
            let count = decompress(
                UnsafeRawBufferPointer(start: input, count: size),
                into: UnsafeMutableRawBufferPointer(start: output, count: target))
        else {
            _ = library.freeMemory(output)
            return 0
        }
        _ = library.freeMemory(input)
        buffer?.pointee = output
        capacity?.pointee = target
        return count
    }
}
