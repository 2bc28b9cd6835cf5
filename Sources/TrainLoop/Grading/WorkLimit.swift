/// Bounds the work on integers beyond 64 bits in one comparison.
///
/// Without it, a short answer could ask for hours: sums of fractions with different large denominators.
final class WorkLimit: @unchecked Sendable {
    /// The limit of the comparison on this thread.
    @TaskLocal static var current: WorkLimit?

    /// About 20 ms of products of 64-bit words.
    private var remaining = 4_000_000

    /// - Throws: `AlgebraLimit` if the work of this comparison is used up.
    static func charge(_ words: Int) throws(AlgebraLimit) {
        guard let current else { return }
        current.remaining -= words
        guard current.remaining >= 0 else { throw AlgebraLimit() }
    }
}
