import CKernels
import Parallel

/// c[m, n] = a[m, k] b[n, k]ᵀ + (adding ? c : 0) for rows that are many enough to be packed, with weights that are not: a vector
/// holds a word of several rows, and each weight, as it comes from memory, is multiplied with all of them.
///
/// Weights are not written again, as when both factors are packed (`PackedProduct`), and sums do not lie across vectors, as when
/// rows and weights meet as they are (`FewRowsProduct`). A sum has its terms one after the other, however rows and columns are
/// cut.
package enum PanelProduct {
    /// Columns whose sums kernels gather, or half of them.
    private static let step = 24
    /// Numbers that a thread packs at least.
    private static let packedAlone = 1 << 13
    /// For more rows packing the weights too is as fast, or faster (docs/engine.md).
    private static let mostRows = 256

    // Constants of the program.
    private nonisolated(unsafe) static let float32 = ckpt_panel_kernels()
    private nonisolated(unsafe) static let bfloat16 = ckpt_bfloat16_panel_kernels()
    private static let scratch = SharedScratch()

    private static func kernels(_ precision: ProductPrecision) -> UnsafePointer<ckpt_panel_kernels>? {
        precision == .bf16 ? bfloat16 : float32
    }

    /// Whether the processor has the instructions and the sizes are such that it pays.
    package static func suits(_ m: Int, _ n: Int, _ k: Int, _ precision: ProductPrecision = .fp32) -> Bool {
        kernels(precision) != nil && m <= mostRows && PackedProduct.suits(inputs: k, outputs: n, rows: m, precision)
    }

    static func timesTransposed(
        _ team: ThreadTeam, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<Float>,
        _ ldb: Int, _ c: Floats, _ ldc: Int, adding: Bool, _ precision: ProductPrecision
    ) {
        let kernels = kernels(precision)!.pointee
        forEachStretch(team, kernels, m, n, k, a, lda) { columns, packed in
            kernels.times_transposed(
                m, columns.count, k, packed, b + columns.lowerBound * ldb, ldb, c + columns.lowerBound, ldc,
                adding ? 1 : 0)
        }
    }

    /// The same with weights in bfloat16.
    static func timesTransposed(
        _ team: ThreadTeam, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<UInt16>,
        _ ldb: Int, _ c: Floats, _ ldc: Int, adding: Bool, _ precision: ProductPrecision
    ) {
        let kernels = kernels(precision)!.pointee
        forEachStretch(team, kernels, m, n, k, a, lda) { columns, packed in
            kernels.times_transposed_compact(
                m, columns.count, k, packed, b + columns.lowerBound * ldb, ldb, c + columns.lowerBound, ldc,
                adding ? 1 : 0)
        }
    }

    /// Calls `body` with some columns of the result and the packed rows.
    private static func forEachStretch(
        _ team: ThreadTeam, _ kernels: ckpt_panel_kernels, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>,
        _ lda: Int,
        _ body: (_ columns: Range<Int>, _ packed: Floats) -> Void
    ) {
        let terms = kernels.terms
        let pieces = (k + terms - 1) / terms
        let stretches = team.stretches(of: n, k, step: step)
        scratch.withFloats((m + 15) / 16 * 16 * ckpt_panel_words(k, terms)) { packed in
            team.split(pieces, grain: packedAlone / (m * terms) + 1) { own, _ in
                kernels.pack(m, k, a, lda, own.lowerBound * terms, min(k, own.upperBound * terms), packed)
            }
            team.forEach(stretches.count) { item, _ in body(stretches[item], packed) }
        }
    }
}
