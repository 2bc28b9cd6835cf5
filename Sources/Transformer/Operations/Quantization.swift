import CKernels

/// Numbers in fewer bits, with stochastic rounding.
///
/// A number between two that can be represented becomes one of them, with the probability that makes the mean right.
/// Changes much smaller than the distance of the two are therefore kept on average, where rounding to nearest would lose
/// them. docs/checkpoint-format.md describes the 8-bit codes.
enum Quantization {
    static let kernels = ckpt_quantization_kernels().pointee
    /// Numbers of a row that share a scale.
    static let blockSize = ckpt_quantization_block

    static func blocks(_ columns: Int) -> Int { (columns + blockSize - 1) / blockSize }
}

/// A row of a matrix in 8-bit codes, with a scale for each block.
struct QuantizedRow {
    let count: Int
    let codes: UnsafeMutablePointer<UInt8>
    let scales: Floats
    let isSigned: Bool

    /// The columns of each block.
    var blocks: [Range<Int>] {
        stride(from: 0, to: count, by: Quantization.blockSize).map { $0..<min(count, $0 + Quantization.blockSize) }
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
