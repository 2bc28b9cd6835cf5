/// Sequences of different lengths side by side, without padding.
///
/// A segment may continue an earlier one: its tokens then attend to all of that one (and of what that one continues)
/// as well as causally to each other, and positions go on counting. A prompt shared by a group of responses is so
/// computed once, forward and backward.
public struct PackedBatch: Sendable {
    /// All tokens, segment after segment.
    public private(set) var tokens: [Int] = []
    /// Where each segment starts in `tokens`, and, last, the number of tokens.
    public private(set) var offsets: [Int] = [0]
    /// For each segment the one it continues, if any.
    public private(set) var parents: [Int?] = []

    /// Independent sequences.
    public init(_ sequences: [[Int]] = []) {
        for sequence in sequences { append(sequence) }
    }

    /// Adds a segment and returns its index. `parent` is the index of an earlier segment.
    @discardableResult
    public mutating func append(_ segment: [Int], continuing parent: Int? = nil) -> Int {
        precondition(parent.map { $0 >= 0 && $0 < parents.count } ?? true, "a segment continues an earlier one")
        tokens += segment
        offsets.append(tokens.count)
        parents.append(parent)
        return parents.count - 1
    }

    public var segmentCount: Int { parents.count }

    /// The places of a segment's tokens in `tokens`.
    public func range(of segment: Int) -> Range<Int> { offsets[segment]..<offsets[segment + 1] }
}

/// A batch as attention walks it.
struct BatchLayout {
    struct Segment {
        /// Rows of the batch.
        var rows: Range<Int>
        /// Position of its first token in its sequence.
        var firstPosition: Int
        /// Rows of what it continues, earliest first.
        var ancestors: [Range<Int>]
        var length: Int { rows.count }
        /// Keys its last token sees.
        var keyCount: Int { firstPosition + rows.count }
    }

    var tokenCount: Int
    var segments: [Segment]
    /// Segments that share keys, so that gradients of those are summed by one worker in order; each list ascending.
    var trees: [[Int]]
    var longest: Int

    init(_ batch: PackedBatch) {
        tokenCount = batch.tokens.count
        segments = []
        trees = []
        var treeOfSegment: [Int] = []
        for index in 0..<batch.segmentCount {
            let rows = batch.range(of: index)
            if let parent = batch.parents[index] {
                let above = segments[parent]
                segments.append(
                    Segment(
                        rows: rows, firstPosition: above.keyCount,
                        ancestors: above.ancestors + (above.rows.isEmpty ? [] : [above.rows])))
                treeOfSegment.append(treeOfSegment[parent])
                trees[treeOfSegment[parent]].append(index)
            } else {
                segments.append(Segment(rows: rows, firstPosition: 0, ancestors: []))
                treeOfSegment.append(trees.count)
                trees.append([index])
            }
        }
        longest = segments.reduce(0) { max($0, $1.keyCount) }
    }
}
