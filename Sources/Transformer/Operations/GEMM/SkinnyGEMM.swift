import CKernels
import Parallel

/// c[m, n] = a[m, k] b[n, k]ᵀ (+ c) for a few rows and many weights: the products of decoding.
///
/// OpenBLAS packs all weights before it multiplies, which takes longer than the products of eight rows; here weights go
/// from memory straight into registers. The order of a sum does not depend on how rows and columns are cut, but is
/// different for a single row, for which weights are read sequentially.
package enum SkinnyGEMM {
    /// Fewer weights stay in cache, where OpenBLAS is as fast.
    private static let leastWeights = 1 << 17
    /// Columns that kernels compute together.
    private static let step = 6

    // Constants of the program.
    private nonisolated(unsafe) static let float32 = ckpt_skinny_gemm_kernels()
    private nonisolated(unsafe) static let bfloat16 = ckpt_skinny_gemm_bf16_kernels()

    private static func kernels(_ precision: ProductPrecision) -> ckpt_skinny_gemm_kernels? {
        (precision == .bf16 ? bfloat16 : float32)?.pointee
    }

    /// Whether the processor has the instructions and this kernel is the fastest for these sizes.
    package static func supports(_ m: Int, _ n: Int, _ k: Int, _ precision: ProductPrecision = .fp32) -> Bool {
        guard let kernels = kernels(precision), n * k >= leastWeights else { return false }
        // Few rows round their factors if and only if many rows do, so that a sampled token has the same score later.
        guard precision == .fp32 || PackedGEMM.isLarge(inputs: k, outputs: n) else { return false }
        return m < PackedGEMM.leastRows || (m <= kernels.max_rows && m * k <= kernels.max_elements)
    }

    static func multiply(_ team: ThreadTeam, _ product: GEMM) {
        guard let kernels = kernels(product.precision) else { preconditionFailure("check `supports` first") }
        let (m, n, k, b, c) = (product.m, product.n, product.k, product.b, product.c)
        let adding: Int32 = product.accumulating ? 1 : 0
        withLeftRows(kernels, product) { a, lda in
            let ranges = team.columnRanges(of: n, k, step: step)
            team.forEach(ranges.count) { item, _ in
                let columns = ranges[item]
                let target = c.floats + columns.lowerBound
                switch b.elements {
                case .float32(let weights):
                    kernels.gemm_nt(
                        m, columns.count, k, a, lda, weights + columns.lowerBound * b.stride, b.stride, target,
                        c.stride, adding)
                case .bfloat16(let weights):
                    kernels.gemm_nt_bf16(
                        m, columns.count, k, a, lda, weights + columns.lowerBound * b.stride, b.stride, target,
                        c.stride, adding)
                }
            }
        }
    }

    /// Calls `body` with the left factor, rounded first if the kernels want that, and its stride.
    private static func withLeftRows(
        _ kernels: ckpt_skinny_gemm_kernels, _ product: GEMM, _ body: (UnsafePointer<Float>, Int) -> Void
    ) {
        let (m, k, a) = (product.m, product.k, product.a)
        guard let round = kernels.round_rows else { return body(a.floats, a.stride) }
        let words = ckpt_rounded_words(k)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: m * words) { rounded in
            guard let start = rounded.baseAddress else { return }
            round(m, k, a.floats, a.stride, start)
            body(start, words)
        }
    }
}
