/// A datatype of an HDF5 file of another program.
struct HDF5ForeignType {
    /// The elements in the types of checkpoints; nil if they have none of these.
    let elementType: ElementType?
    let isBigEndian: Bool
    let text: String

    /// - Parameters:
    ///   - library: libhdf5.
    ///   - type: a datatype.
    ///   - isBFloat16: whether opaque elements of two bytes are bfloat16, which Keras says in an attribute.
    init(_ library: HDF5Library, _ type: HDF5Library.ID, isBFloat16: Bool) {
        let size = library.sizeOfType(type)
        isBigEndian = size > 1 && library.orderOfType(type) == 1
        switch library.classOfType(type) {
        case 0: elementType = Self.integer(library, type, size)
        case 1: elementType = Self.float(library, type, size)
        case 5: elementType = size == 2 && isBFloat16 ? .bfloat16 : nil
        case 8: elementType = Self.isBoolean(library, type, size) ? .bool : nil
        default: elementType = nil
        }
        let name = elementType?.rawValue ?? Self.className(library.classOfType(type), size)
        text = isBigEndian ? name + ", big-endian" : name
    }

    private static func className(_ number: Int32, _ size: Int) -> String {
        switch number {
        case 0: "integers of \(size) bytes"
        case 1: "numbers of \(size) bytes"
        case 2: "times"
        case 3: "texts"
        case 4: "bit fields"
        case 5: "opaque values of \(size) bytes"
        case 6: "compounds of \(size) bytes"
        case 7: "references"
        case 8: "an enumeration"
        case 9: "lists of variable length"
        case 10: "arrays"
        default: "unknown values"
        }
    }

    private static func isWhole(_ library: HDF5Library, _ type: HDF5Library.ID, _ size: Int) -> Bool {
        library.precisionOfType(type) == 8 * size && library.offsetOfType(type) == 0
            && (0...1).contains(library.orderOfType(type))
    }

    private static func integer(_ library: HDF5Library, _ type: HDF5Library.ID, _ size: Int) -> ElementType? {
        guard isWhole(library, type, size) else { return nil }
        switch (size, library.signOfType(type)) {
        case (1, 1): return .int8
        case (2, 1): return .int16
        case (4, 1): return .int32
        case (8, 1): return .int64
        case (1, 0): return .uint8
        case (2, 0): return .uint16
        case (4, 0): return .uint32
        case (8, 0): return .uint64
        default: return nil
        }
    }

    private static func float(_ library: HDF5Library, _ type: HDF5Library.ID, _ size: Int) -> ElementType? {
        var (sign, exponent, exponentSize, mantissa, mantissaSize) = (0, 0, 0, 0, 0)
        guard isWhole(library, type, size), library.normalization(type) == 0,
            library.fieldsOfType(type, &sign, &exponent, &exponentSize, &mantissa, &mantissaSize) >= 0
        else { return nil }
        switch [sign, exponent, exponentSize, mantissa, mantissaSize, library.exponentBias(type)] {
        case [15, 10, 5, 0, 10, 15]: return .float16
        case [15, 7, 8, 0, 7, 127]: return .bfloat16
        case [31, 23, 8, 0, 23, 127]: return .float32
        case [63, 52, 11, 0, 52, 1023]: return .float64
        default: return nil
        }
    }

    /// Whether it is h5py's boolean type: FALSE and TRUE in one byte.
    private static func isBoolean(_ library: HDF5Library, _ type: HDF5Library.ID, _ size: Int) -> Bool {
        guard size == 1, library.memberCount(type) == 2 else { return false }
        return ["FALSE", "TRUE"].enumerated().allSatisfy { index, name in
            guard let found = library.memberName(type, UInt32(index)) else { return false }
            defer { _ = library.freeMemory(found) }
            return String(cString: found) == name
        }
    }

    /// Reverses the bytes of every element.
    static func swapBytes(_ bytes: UnsafeMutableRawBufferPointer, width: Int) {
        for start in stride(from: 0, to: bytes.count / width * width, by: width) {
            for i in 0..<width / 2 { bytes.swapAt(start + i, start + width - 1 - i) }
        }
    }
}

/// How a dataset is stored, as text, and why it cannot be read.
struct HDF5ForeignStorage {
    private(set) var text: String
    private(set) var problem: String?

    init(_ library: HDF5Library, _ creation: HDF5Library.ID, rank: Int) {
        switch library.layout(creation) {
        case 0: text = "compact"
        case 1: text = "contiguous"
        case 2:
            var sizes = [UInt64](repeating: 0, count: max(1, rank))
            let found = library.chunk(creation, Int32(rank), &sizes) >= 0
            text = "chunks of " + (found ? sizes[..<rank].map(String.init).joined(separator: " × ") : "unknown size")
        case 3:
            text = "virtual"
            problem = "is a virtual dataset, whose numbers are in other files"
        default:
            text = "unknown layout"
            problem = "has a layout that ckpt does not know"
        }
        if library.externalFileCount(creation) != 0 {
            text += ", external"
            problem = "has its numbers in other files, which are not read"
        }
        for index in 0..<max(0, min(32, library.filterCount(creation))) {
            var (flags, configuration): (UInt32, UInt32) = (0, 0)
            var values = [UInt32](repeating: 0, count: 32)
            var valueCount = values.count
            var name = [CChar](repeating: 0, count: 64)
            let number = library.filter(
                creation, UInt32(index), &flags, &valueCount, &values, name.count, &name, &configuration)
            text += ", " + Self.name(number, name, values.prefix(max(0, valueCount)))
            if library.filterIsAvailable(number) <= 0 {
                problem =
                    "is compressed by filter \(number), which this libhdf5 does not have; install its plugin"
                    + " (HDF5_PLUGIN_PATH) or rewrite the file with h5repack"
            }
        }
    }

    private static func name(_ number: Int32, _ name: [CChar], _ values: ArraySlice<UInt32>) -> String {
        switch number {
        case 1: return "gzip \(values.first ?? 0)"
        case 2: return "shuffle"
        case 3: return "fletcher32"
        case 4: return "szip"
        case 5: return "nbit"
        case 6: return "scaleoffset"
        case 32000: return "lzf"
        case 32015: return "zstd"
        default:
            let text = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            return text.isEmpty ? "filter \(number)" : "\(text) (filter \(number))"
        }
    }
}
