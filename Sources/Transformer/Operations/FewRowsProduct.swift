import CKernels
import Parallel

/// c[m, n] = a[m, k] b[n, k]ᵀ + (adding ? c : 0) for a few rows and many weights, as decoding multiplies.
///
/// OpenBLAS packs all weights before it multiplies, which for eight rows takes longer than the products; here they go
/// from memory straight into registers. A sum has its terms in one order, however rows and columns are cut; that of a row
/// alone is another, with which memory is read in its order.
package enum FewRowsProduct {
    /// Fewer weights stay in cache, where OpenBLAS is as fast.
    private static let leastWeights = 1 << 17
    /// Columns that kernels take at a time.
    private static let step = 6

    // Constants of the program.
    private nonisolated(unsafe) static let float32 = ckpt_few_rows_kernels()
    private nonisolated(unsafe) static let bfloat16 = ckpt_bfloat16_few_rows_kernels()

    private static func kernels(_ precision: ProductPrecision) -> UnsafePointer<ckpt_few_rows_kernels>? {
        precision == .bf16 ? bfloat16 : float32
    }

    /// Whether the processor has the instructions and the sizes are such that it pays.
    package static func suits(_ m: Int, _ n: Int, _ k: Int, _ precision: ProductPrecision = .fp32) -> Bool {
        guard let kernels = kernels(precision)?.pointee, n * k >= leastWeights else { return false }
        // Rounded like more rows are, or not at all: what is sampled must score alike.
        guard precision == .fp32 || PackedProduct.isLarge(inputs: k, outputs: n) else { return false }
        return m < PackedProduct.leastRows || (m <= kernels.most_rows && m * k <= kernels.most_numbers)
    }

    /// Calls `body` with a, or with what the kernels make of it first, and the distance of its rows.
    private static func withRows(
        _ kernels: ckpt_few_rows_kernels, _ m: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int,
        _ body: (UnsafePointer<Float>, Int) -> Void
    ) {
        guard let round = kernels.round else { return body(a, lda) }
        let words = ckpt_rounded_words(k)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: m * words) { rounded in
            round(m, k, a, lda, rounded.baseAddress!)
            body(rounded.baseAddress!, words)
        }
    }

    static func timesTransposed(
        _ team: ThreadTeam, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<Float>,
        _ ldb: Int, _ c: UnsafeMutablePointer<Float>, _ ldc: Int, adding: Bool, _ precision: ProductPrecision
    ) {
        let kernels = kernels(precision)!.pointee
        withRows(kernels, m, k, a, lda) { a, lda in
            let stretches = team.stretches(of: n, k, step: step)
            team.forEach(stretches.count) { item, _ in
                let columns = stretches[item]
                kernels.times_transposed(
                    m, columns.count, k, a, lda, b + columns.lowerBound * ldb, ldb, c + columns.lowerBound, ldc,
                    adding ? 1 : 0)
            }
        }
    }

    /// The same with weights in bfloat16.
    static func timesTransposed(
        _ team: ThreadTeam, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<UInt16>,
        _ ldb: Int, _ c: UnsafeMutablePointer<Float>, _ ldc: Int, adding: Bool, _ precision: ProductPrecision
    ) {
        let kernels = kernels(precision)!.pointee
        withRows(kernels, m, k, a, lda) { a, lda in
            let stretches = team.stretches(of: n, k, step: step)
            team.forEach(stretches.count) { item, _ in
                let columns = stretches[item]
                kernels.times_transposed_compact(
                    m, columns.count, k, a, lda, b + columns.lowerBound * ldb, ldb, c + columns.lowerBound, ldc,
                    adding ? 1 : 0)
            }
        }
    }
}

extension ThreadTeam {
    /// Cuts the columns of a product [m, n] with sums of k terms, whose weights come from memory, for the members to take.
    ///
    /// They take the next columns as they finish theirs: all wait for memory, and one for longer than the other. Long
    /// stretches come first, since memory is asked for ahead only within one; the last ones are short, since at the end
    /// all wait for the last. Multiples of `step`.
    func stretches(of n: Int, _ k: Int, step: Int) -> [Range<Int>] {
        if size == 1 { return [0..<n] }
        let lastWeights = 1 << 14
        let least = max(step, lastWeights / k / step * step)
        var stretches: [Range<Int>] = []
        var end = 0
        while end < n {
            let first = end
            end = min(n, end + max(least, (n - end) / (2 * size) / step * step))
            stretches.append(first..<end)
        }
        return stretches
    }
}
