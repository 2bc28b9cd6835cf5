/// Refuses input that expands out of proportion.
struct ExpansionLimit {
    /// Expansion below this is never refused.
    private static let free = 256 << 20
    private static let factor = 500

    private(set) var output = 0

    /// Counts bytes that were made from `input` bytes so far.
    ///
    /// - Throws: `FormatProblem`.
    mutating func add(_ count: Int, from input: Int) throws {
        output += count
        guard output <= Self.free || output / Self.factor <= input else {
            throw FormatProblem(
                "the content is over \(Self.factor) times as large as the file; it was made to fill memory")
        }
    }
}
