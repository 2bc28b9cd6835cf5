import Glibc

/// Looks for values that are not finite, and for tensors of one value, while the bytes of a tensor pass by.
struct ValueScan {
    private(set) var nanCount = 0
    private(set) var infiniteCount = 0
    /// Whether all values so far have the same bits.
    private(set) var isConstant = true
    private let storage: TensorLayout.Storage
    /// The bytes of the first element.
    private var first: [UInt8] = []

    init(_ storage: TensorLayout.Storage) { self.storage = storage }

    /// Whether there are values and all of them are zero.
    var isZero: Bool { isConstant && !first.isEmpty && first.allSatisfy { $0 == 0 } }

    /// Takes further bytes, which are whole elements or blocks.
    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        switch storage {
        case .elements(let type): add(start, bytes.count, type)
        case .float8(let type):
            checkConstant(start, bytes.count, size: 1)
            switch type {
            // All bits but the sign are set in NaN, and there are no infinite values.
            case .e4m3: nanCount += bytes.count { $0 & 0x7F == 0x7F }
            case .e5m2: count(start, bytes.count, exponent: UInt8(0x7C), magnitude: 0x7F)
            }
        case .blocks(let type):
            let count = bytes.count / type.blockByteCount
            let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: count * type.blockElementCount)
            defer { values.deallocate() }
            guard let output = values.baseAddress else { return }
            GGUFDequantization.decode(type, start, blockCount: count, into: output)
            add(UnsafeRawPointer(output), values.count * 4, .float32)
        }
    }

    private mutating func add(_ start: UnsafeRawPointer, _ byteCount: Int, _ type: ElementType) {
        checkConstant(start, byteCount, size: type.byteCount)
        switch type {
        case .float32: count(start, byteCount / 4, exponent: UInt32(0x7F80_0000), magnitude: 0x7FFF_FFFF)
        case .bfloat16: count(start, byteCount / 2, exponent: UInt16(0x7F80), magnitude: 0x7FFF)
        case .float16: count(start, byteCount / 2, exponent: UInt16(0x7C00), magnitude: 0x7FFF)
        case .float64:
            count(start, byteCount / 8, exponent: UInt64(0x7FF0) << 48, magnitude: UInt64.max >> 1)
        case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64, .bool: break
        }
    }

    /// Notes whether elements of `size` bytes are all equal to the first one.
    private mutating func checkConstant(_ start: UnsafeRawPointer, _ byteCount: Int, size: Int) {
        guard isConstant else { return }
        if first.isEmpty { first = Array(UnsafeRawBufferPointer(start: start, count: size)) }
        // Bytes that equal those an element further on, and begin with the first element, repeat it.
        isConstant = memcmp(start, first, size) == 0 && memcmp(start, start + size, byteCount - size) == 0
    }

    /// Counts NaN and infinite values, whose bits of the exponent are all set.
    private mutating func count<Word: FixedWidthInteger & BitwiseCopyable>(
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
