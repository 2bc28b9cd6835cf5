import Glibc

/// Looks for values that are not finite, and for tensors of one value, while the bytes of a tensor pass by.
struct ValueScan: Sendable {
    var nanCount = 0
    private(set) var infiniteCount = 0
    /// Whether all values so far have the same bits.
    private(set) var isConstant = true
    /// The bytes of the first element.
    private var first: [UInt8] = []

    init() {}

    /// Whether there are values and all of them are zero.
    var isZero: Bool { isConstant && !first.isEmpty && first.allSatisfy { $0 == 0 } }

    /// What is wrong with the values; nil if all are finite.
    var problem: String? {
        let found = [(nanCount, "NaN"), (infiniteCount, "infinite")].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        let isOne = (infiniteCount > 0 ? infiniteCount : nanCount) == 1
        return found.isEmpty ? nil : "has \(found.joined(separator: " and ")) \(isOne ? "value" : "values")"
    }

    /// Takes further bytes, which are whole elements of the type of those before.
    mutating func add(_ bytes: UnsafeRawBufferPointer, as type: ElementType) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        checkConstant(bytes, size: type.byteCount)
        switch type {
        case .float32: count(start, bytes.count / 4, exponent: UInt32(0x7F80_0000), magnitude: 0x7FFF_FFFF)
        case .bfloat16: count(start, bytes.count / 2, exponent: UInt16(0x7F80), magnitude: 0x7FFF)
        case .float16: count(start, bytes.count / 2, exponent: UInt16(0x7C00), magnitude: 0x7FFF)
        case .float64:
            count(start, bytes.count / 8, exponent: UInt64(0x7FF0) << 48, magnitude: UInt64.max >> 1)
        case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64, .bool: break
        }
    }

    /// Notes whether elements of `size` bytes are all equal to the first one.
    mutating func checkConstant(_ bytes: UnsafeRawBufferPointer, size: Int) {
        guard isConstant, let start = bytes.baseAddress else { return }
        if first.isEmpty { first = Array(bytes[..<size]) }
        // Bytes that equal those an element further on, and begin with the first element, repeat it.
        isConstant = memcmp(start, first, size) == 0 && memcmp(start, start + size, bytes.count - size) == 0
    }

    /// Counts NaN and infinite values, whose bits of the exponent are all set.
    mutating func count<Word: FixedWidthInteger & BitwiseCopyable>(
        _ start: UnsafeRawPointer, _ count: Int, exponent: Word, magnitude: Word
    ) {
        let size = MemoryLayout<Word>.size
        // No more elements than a counter of one byte counts.
        let piece = min(16_384, Int(clamping: Word.max))
        for begin in stride(from: 0, to: count, by: piece) {
            let end = min(begin + piece, count)
            // A counter of the elements' width lets the compiler vectorize.
            var special: Word = 0
            for index in begin..<end {
                let bits = start.loadUnaligned(fromByteOffset: index &* size, as: Word.self)
                special &+= bits & exponent == exponent ? 1 : 0
            }
            guard special > 0 else { continue }
            for index in begin..<end {
                let bits = start.loadUnaligned(fromByteOffset: index &* size, as: Word.self) & magnitude
                if bits == exponent { infiniteCount += 1 } else if bits > exponent { nanCount += 1 }
            }
        }
    }
}
