import CKernels
import Parallel

/// Numbers in fewer bits, with stochastic rounding.
///
/// A number between two that can be represented becomes one of them, with the probability that makes the mean right.
/// Changes much smaller than the distance of the two are therefore kept on average, where rounding to nearest would
/// lose them. docs/checkpoint-format.md describes the 8-bit codes.
enum Quantization {
    static let kernels = ckpt_quantization_kernels().pointee
    /// Numbers of a row that share a scale.
    static let blockSize = ckpt_quantization_block

    static func blocks(_ columns: Int) -> Int { (columns + blockSize - 1) / blockSize }

    /// The columns of each block of a row.
    static func ranges(_ columns: Int) -> some Sequence<Range<Int>> {
        stride(from: 0, to: columns, by: blockSize).lazy.map { $0..<min(columns, $0 + blockSize) }
    }

    /// sums += x, rounded with the random words of `key` from `index` on.
    static func add(
        _ x: UnsafePointer<Float>, into sums: UnsafeMutablePointer<UInt16>, _ count: Int, _ key: UInt64, index: Int
    ) {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: blockSize) { wide in
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: blockSize) { random in
                guard let wide = wide.baseAddress, let random = random.baseAddress else { return }
                for first in stride(from: 0, to: count, by: blockSize) {
                    let length = min(blockSize, count - first)
                    BFloat16.widen(sums + first, into: wide, length)
                    VectorMath.add(x + first, into: wide, length)
                    kernels.random_words(key, UInt32(truncatingIfNeeded: index + first), length, random)
                    kernels.round_bf16(wide, random, length, sums + first)
                }
            }
        }
    }
}

/// Keys of the random words of one slice of an update, in the order in which they are asked for.
struct RoundingKeys {
    private let seed: UInt64
    private let step: Int
    private let slice: Int
    private var count = 0

    init(seed: UInt64, step: Int, slice: Int = 0) {
        self.seed = seed
        self.step = step
        self.slice = slice
    }

    mutating func next() -> UInt64 {
        count += 1
        return CounterRandom.key(seed: seed, step: step, stream: -count - slice << 32)
    }

    /// The key for the sum of a node in the tree of slices.
    func key(of node: SliceNode) -> UInt64 {
        CounterRandom.key(seed: seed, step: step, stream: 1 << 48 | node.level << 32 | node.index)
    }
}

/// A row of numbers in float32 or bfloat16.
enum NumberRow {
    case float32(Floats)
    case bfloat16(UnsafeMutablePointer<UInt16>)

    /// The numbers from `count` on.
    func advanced(by count: Int) -> NumberRow {
        switch self {
        case .float32(let floats): .float32(floats + count)
        case .bfloat16(let halves): .bfloat16(halves + count)
        }
    }

    /// Numbers `block` of the row, in `scratch` if they are not in float32.
    func load(_ block: Range<Int>, _ scratch: Floats) -> Floats {
        switch self {
        case .float32(let floats): return floats + block.lowerBound
        case .bfloat16(let halves):
            BFloat16.widen(halves + block.lowerBound, into: scratch, block.count)
            return scratch
        }
    }
}

/// A row of moments in float32 or 8-bit codes.
enum MomentRow {
    case float32(Floats)
    case quantized(QuantizedRow)

    /// The row of `columns` numbers that is `rows` further down in the matrix.
    func advanced(by rows: Int, _ columns: Int) -> MomentRow {
        switch self {
        case .float32(let floats): .float32(floats + rows * columns)
        case .quantized(let row): .quantized(row.advanced(by: rows))
        }
    }

    /// Numbers `block` of the row, in `scratch` if they are not in float32.
    func load(_ block: Range<Int>, _ scratch: Floats) -> Floats {
        switch self {
        case .float32(let floats): return floats + block.lowerBound
        case .quantized(let row):
            row.load(block, into: scratch)
            return scratch
        }
    }

    func store(_ values: Floats, _ random: UnsafePointer<UInt32>, in block: Range<Int>) {
        if case .quantized(let row) = self { row.store(values, random, in: block) }
    }
}

/// A row of a matrix in 8-bit codes, with a scale for each block.
struct QuantizedRow {
    let count: Int
    let codes: UnsafeMutablePointer<UInt8>
    let scales: Floats
    let isSigned: Bool

    /// The columns of each block.
    var blocks: some Sequence<Range<Int>> { Quantization.ranges(count) }

    /// The row that is `rows` further down in the matrix.
    func advanced(by rows: Int) -> QuantizedRow {
        QuantizedRow(
            count: count, codes: codes + rows * count, scales: scales + rows * Quantization.blocks(count),
            isSigned: isSigned)
    }

    func load(_ block: Range<Int>, into values: Floats) {
        let (codes, scale) = (codes + block.lowerBound, scales[block.lowerBound / Quantization.blockSize])
        if isSigned {
            Quantization.kernels.decode_signed(codes, scale, block.count, values)
        } else {
            Quantization.kernels.decode_unsigned(codes, scale, block.count, values)
        }
    }

    /// Rounds `values` with random words, one for each.
    func store(_ values: UnsafePointer<Float>, _ random: UnsafePointer<UInt32>, in block: Range<Int>) {
        let codes = codes + block.lowerBound
        scales[block.lowerBound / Quantization.blockSize] =
            isSigned
            ? Quantization.kernels.encode_signed(values, random, block.count, codes)
            : Quantization.kernels.encode_unsigned(values, random, block.count, codes)
    }
}
