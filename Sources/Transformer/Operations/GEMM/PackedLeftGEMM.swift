import CKernels
import Parallel

/// c[m, n] = a[m, k] b[n, k]ᵀ (+ c) with the left factor packed and the weights used from where they are stored.
///
/// A vector holds elements of several rows (or, for few rows, of several columns of weights), and each weight is
/// multiplied with all rows as it comes from memory.
/// This avoids writing the weights a second time, as `PackedGEMM` does, and the sums across vectors of `SkinnyGEMM`.
/// A sum has the same bits for any number of rows, and the same as from `PackedGEMM`.
package enum PackedLeftGEMM {
    /// Columns whose sums kernels gather, or half of them.
    private static let step = 24
    /// Columns whose sums stay in cache from one pass over k to the next, a multiple of what kernels gather.
    ///
    /// The sums of few rows stay there anyway.
    private static let stripeColumns = 48
    private static let fewRows = 8
    /// The fewest elements that a thread packs.
    private static let packingGrain = 1 << 13

    // Constants of the program.
    private nonisolated(unsafe) static let float32 = [ckpt_few_rows_gemm_kernels(), ckpt_packed_left_gemm_kernels()]
    private nonisolated(unsafe) static let bfloat16 = [
        ckpt_few_rows_gemm_bf16_kernels(), ckpt_packed_left_gemm_bf16_kernels(),
    ]
    private static let scratch = SharedScratch()

    /// The kernels for m rows; nil if the processor has none, or if packing the weights too is at least as fast.
    private static func kernels(_ precision: ProductPrecision, rows m: Int) -> ckpt_packed_left_gemm_kernels? {
        for table in precision == .bf16 ? bfloat16 : float32 {
            if let kernels = table?.pointee, m <= kernels.max_rows { return kernels }
        }
        return nil
    }

    /// Whether the processor has the instructions and packing the weights too would not be faster for m rows.
    static func supports(rows m: Int, _ precision: ProductPrecision) -> Bool { kernels(precision, rows: m) != nil }

    static func multiply(_ team: ThreadTeam, _ product: GEMM) {
        let (m, n, k) = (product.m, product.n, product.k)
        guard let kernels = kernels(product.precision, rows: m) else {
            preconditionFailure("check `supports` first")
        }
        let terms = kernels.terms
        let height = (m + kernels.height - 1) / kernels.height * kernels.height
        let passes = PackedGEMM.passes(k, termsPerWord: terms / 8).map {
            Pass(terms: $0, offset: $0.lowerBound / (terms / 8) * height)
        }
        let ranges = team.columnRanges(of: n, k, step: step)
        scratch.withFloats(height * ckpt_packed_left_words(k, terms)) { packed in
            for pass in passes { pack(team, kernels, product, pass, into: packed + pass.offset) }
            team.forEach(ranges.count) { item, _ in
                let width = passes.count > 1 && m > fewRows ? stripeColumns : ranges[item].count
                for first in stride(from: ranges[item].lowerBound, to: ranges[item].upperBound, by: width) {
                    let columns = first..<min(first + width, ranges[item].upperBound)
                    for pass in passes {
                        multiply(kernels, product, columns, pass, packed + pass.offset)
                    }
                }
            }
        }
    }

    /// A range of k, and the place of its packed left factor.
    private struct Pass {
        let terms: Range<Int>
        let offset: Int
    }

    private static func pack(
        _ team: ThreadTeam, _ kernels: ckpt_packed_left_gemm_kernels, _ product: GEMM, _ pass: Pass,
        into packed: Floats
    ) {
        let (m, a, terms) = (product.m, product.a, kernels.terms)
        let pieces = (pass.terms.count + terms - 1) / terms
        team.split(pieces, grain: packingGrain / (m * terms) + 1) { own, _ in
            kernels.pack(
                m, pass.terms.count, a.floats + pass.terms.lowerBound, a.stride, own.lowerBound * terms,
                min(pass.terms.count, own.upperBound * terms), packed)
        }
    }

    private static func multiply(
        _ kernels: ckpt_packed_left_gemm_kernels, _ product: GEMM, _ columns: Range<Int>, _ pass: Pass,
        _ packed: UnsafePointer<Float>
    ) {
        let (m, b, c) = (product.m, product.b, product.c)
        let adding: Int32 = product.accumulating || pass.terms.lowerBound > 0 ? 1 : 0
        let target = c.floats + columns.lowerBound
        let first = columns.lowerBound * b.stride + pass.terms.lowerBound
        switch b.elements {
        case .float32(let weights):
            kernels.gemm_nt(
                m, columns.count, pass.terms.count, packed, weights + first, b.stride, target, c.stride, adding)
        case .bfloat16(let weights):
            kernels.gemm_nt_bf16(
                m, columns.count, pass.terms.count, packed, weights + first, b.stride, target, c.stride, adding)
        }
    }
}
