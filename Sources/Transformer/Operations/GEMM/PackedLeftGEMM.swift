import CKernels
import Parallel

/// c[m, n] = a[m, k] b[n, k]ᵀ (+ c) with the left factor packed and the weights used from where they are stored.
///
/// A vector holds elements of several rows, and each weight is multiplied with all of them as it comes from memory.
/// This avoids writing the weights a second time, as `PackedGEMM` does, and the sums across vectors of `SkinnyGEMM`.
/// Each sum adds its terms in order, however rows and columns are cut.
package enum PackedLeftGEMM {
    /// Columns whose sums kernels gather, or half of them.
    private static let step = 24
    /// The fewest elements that a thread packs.
    private static let packingGrain = 1 << 13
    /// For more rows packing the weights too is at least as fast (docs/engine.md).
    private static let mostRows = 256

    // Constants of the program.
    private nonisolated(unsafe) static let float32 = ckpt_packed_left_gemm_kernels()
    private nonisolated(unsafe) static let bfloat16 = ckpt_packed_left_gemm_bf16_kernels()
    private static let scratch = SharedScratch()

    private static func kernels(_ precision: ProductPrecision) -> ckpt_packed_left_gemm_kernels? {
        (precision == .bf16 ? bfloat16 : float32)?.pointee
    }

    /// Whether the processor has the instructions and this kernel is the fastest for these sizes.
    package static func supports(_ m: Int, _ n: Int, _ k: Int, _ precision: ProductPrecision = .fp32) -> Bool {
        kernels(precision) != nil && m <= mostRows && PackedGEMM.supports(inputs: k, outputs: n, rows: m, precision)
    }

    static func multiply(_ team: ThreadTeam, _ product: GEMM) {
        guard let kernels = kernels(product.precision) else { preconditionFailure("check `supports` first") }
        let (m, n, k, a, b, c) = (product.m, product.n, product.k, product.a, product.b, product.c)
        let adding: Int32 = product.accumulating ? 1 : 0
        let terms = kernels.terms
        let pieces = (k + terms - 1) / terms
        let ranges = team.columnRanges(of: n, k, step: step)
        scratch.withFloats((m + 15) / 16 * 16 * ckpt_packed_left_words(k, terms)) { packed in
            team.split(pieces, grain: packingGrain / (m * terms) + 1) { own, _ in
                kernels.pack(
                    m, k, a.floats, a.stride, own.lowerBound * terms, min(k, own.upperBound * terms), packed)
            }
            team.forEach(ranges.count) { item, _ in
                let columns = ranges[item]
                let target = c.floats + columns.lowerBound
                switch b.elements {
                case .float32(let weights):
                    kernels.gemm_nt(
                        m, columns.count, k, packed, weights + columns.lowerBound * b.stride, b.stride, target,
                        c.stride, adding)
                case .bfloat16(let weights):
                    kernels.gemm_nt_bf16(
                        m, columns.count, k, packed, weights + columns.lowerBound * b.stride, b.stride, target,
                        c.stride, adding)
                }
            }
        }
    }
}
