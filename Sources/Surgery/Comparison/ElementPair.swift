import CheckpointIO

/// Elements of one tensor in memory.
enum StoredElements {
    case bytes(UnsafeRawBufferPointer, ElementType)
    /// Elements of two bytes, with low and high bytes in separate planes.
    case planes(BytePlanes, ElementType)
}

/// The same range of elements of two tensors in their storage types.
struct ElementPair {
    /// Elements compared at a time, few enough that both sides fit into a core's cache as float32.
    static let run = 1 << 12

    private let a: StoredElements
    private let b: StoredElements
    private let count: Int

    init(_ a: StoredElements, _ b: StoredElements, count: Int) {
        self.a = a
        self.b = b
        self.count = count
    }

    /// Compares runs of `length` elements in order; the last run may be shorter.
    ///
    /// `body` also gets the block of `blockLength` elements of the run that differs most.
    func forEachRun(
        of length: Int, blockLength: Int?, _ body: (TensorDifference, BlockDifference?) -> Void
    ) throws {
        let scratch = UnsafeMutableBufferPointer<Float>.allocate(capacity: 2 * length)
        defer { scratch.deallocate() }
        for start in stride(from: 0, to: count, by: length) {
            let range = start..<min(start + length, count)
            let valuesA = UnsafeMutableBufferPointer(rebasing: scratch[..<range.count])
            let valuesB = UnsafeMutableBufferPointer(rebasing: scratch[length..<length + range.count])
            try Self.widen(a, range, into: valuesA)
            try Self.widen(b, range, into: valuesB)
            guard let pointerA = valuesA.baseAddress, let pointerB = valuesB.baseAddress else { continue }
            var difference = TensorDifference(pointerA, pointerB, count: range.count)
            difference.identicalCount = identicalCount(range, pointerA, pointerB)
            body(
                difference,
                blockLength.map { BlockDifference(pointerA, pointerB, count: range.count, blockLength: $0) })
        }
    }

    private static func widen(
        _ elements: StoredElements, _ range: Range<Int>, into values: UnsafeMutableBufferPointer<Float>
    ) throws {
        switch elements {
        case .bytes(let bytes, let type):
            let size = type.byteCount
            try ElementConversion.toFloat32(
                UnsafeRawBufferPointer(rebasing: bytes[range.lowerBound * size..<range.upperBound * size]), type,
                into: values)
        case .planes(let planes, .bfloat16):
            guard let output = values.baseAddress else { return }
            let low = planes.low + range.lowerBound
            let high = planes.high + range.lowerBound
            for index in 0..<range.count {
                output[index] = Float(bitPattern: UInt32(high[index]) << 24 | UInt32(low[index]) << 16)
            }
        case .planes(let planes, let type):
            let words = [UInt16](unsafeUninitializedCapacity: range.count) { words, count in
                for index in 0..<range.count {
                    let place = range.lowerBound + index
                    words[index] = UInt16(planes.low[place]) | UInt16(planes.high[place]) << 8
                }
                count = range.count
            }
            try words.withUnsafeBytes { try ElementConversion.toFloat32($0, type, into: values) }
        }
    }

    /// The number of elements with equal stored bits, or with equal values if the types differ.
    private func identicalCount(
        _ range: Range<Int>, _ valuesA: UnsafePointer<Float>, _ valuesB: UnsafePointer<Float>
    ) -> Int {
        switch (a, b) {
        case (.planes(let left, _), .planes(let right, _)):
            return Self.equalCount(left, right, range)
        case (.bytes(let left, let type), .bytes(let right, let other)) where type == other:
            guard let left = left.baseAddress, let right = right.baseAddress else { return 0 }
            let start = range.lowerBound * type.byteCount
            switch type.byteCount {
            case 1: return Self.equalCount(left + start, right + start, range.count, as: UInt8.self)
            case 2: return Self.equalCount(left + start, right + start, range.count, as: UInt16.self)
            case 4: return Self.equalCount(left + start, right + start, range.count, as: UInt32.self)
            default: return Self.equalCount(left + start, right + start, range.count, as: UInt64.self)
            }
        default:
            return (0..<range.count).count { valuesA[$0] == valuesB[$0] }
        }
    }

    private static func equalCount(
        _ a: BytePlanes, _ b: BytePlanes, _ range: Range<Int>
    ) -> Int {
        var total = 0
        var index = range.lowerBound
        while index &+ 16 <= range.upperBound {
            var equal = SIMD16<UInt8>.zero
            // At most 255 iterations, so that the byte counters do not overflow.
            let end = min(index &+ 16 &* 255, range.upperBound &- 15)
            while index < end {
                let differing =
                    (lane(a.low, index) ^ lane(b.low, index)) | (lane(a.high, index) ^ lane(b.high, index))
                // A true lane is all ones, which is −1. Replacing lanes with a mask is ten times slower.
                equal &-= unsafeBitCast(differing .== .zero, to: SIMD16<UInt8>.self)
                index &+= 16
            }
            for element in 0..<16 { total += Int(equal[element]) }
        }
        while index < range.upperBound {
            if a.low[index] == b.low[index], a.high[index] == b.high[index] { total += 1 }
            index += 1
        }
        return total
    }

    @inline(__always)
    private static func lane(_ plane: UnsafePointer<UInt8>, _ index: Int) -> SIMD16<UInt8> {
        UnsafeRawPointer(plane + index).loadUnaligned(as: SIMD16<UInt8>.self)
    }

    @inline(__always)
    private static func equalCount<Word: FixedWidthInteger & BitwiseCopyable>(
        _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int, as type: Word.Type
    ) -> Int {
        let size = MemoryLayout<Word>.size
        var total = 0
        // A counter of the elements' width lets the compiler vectorize; runs of 127 cannot overflow it.
        for start in stride(from: 0, to: count, by: 127) {
            var equal: Word = 0
            for index in start..<min(start + 127, count) {
                let x = a.loadUnaligned(fromByteOffset: index * size, as: Word.self)
                let y = b.loadUnaligned(fromByteOffset: index * size, as: Word.self)
                equal &+= x == y ? 1 : 0
            }
            total += Int(equal)
        }
        return total
    }
}
