/// Sequences of different lengths side by side, without padding.
///
/// A segment may continue an earlier one, its parent: its tokens then attend to all tokens of the parent (and of the
/// parent's ancestors) as well as causally to each other, and positions continue. A prompt shared by a group of
/// responses is therefore computed once, forward and backward.
public struct PackedBatch: Sendable {
    /// All tokens, segment after segment.
    public private(set) var tokens: [Int] = []
    /// The start of each segment in `tokens`, followed by the number of tokens.
    public private(set) var offsets: [Int] = [0]
    /// The segment that each segment continues, if any.
    public private(set) var parents: [Int?] = []

    /// A batch of independent sequences.
    public init(_ sequences: [[Int]] = []) {
        for sequence in sequences { append(sequence) }
    }

    /// A batch of sequences whose first `prefix` tokens are the same, which are computed once.
    ///
    /// If `prefix` is not 0, segment 0 holds these tokens, and segment `i + 1` the others of sequence `i`.
    init(_ sequences: [[Int]], sharing prefix: Int) {
        guard prefix > 0, let first = sequences.first else {
            self.init(sequences)
            return
        }
        self.init()
        let root = append(Array(first[..<prefix]))
        for sequence in sequences { append(Array(sequence[prefix...]), continuing: root) }
    }

    /// The number of first tokens that sequences have in common and that are worth sharing, fewer than any of them has.
    ///
    /// System prompts and the beginnings of chat templates are such tokens.
    package static func sharedPrefix(of sequences: [[Int]]) -> Int {
        guard let first = sequences.first, sequences.count > 1 else { return 0 }
        var count = first.count - 1
        for sequence in sequences.dropFirst() {
            count = min(count, sequence.count - 1)
            var common = 0
            while common < count, sequence[common] == first[common] { common += 1 }
            count = common
        }
        return count >= leastSharedTokens ? count : 0
    }

    /// Fewer tokens cost less than segments of their own.
    private static let leastSharedTokens = 8

    /// Adds a segment of token ids, which continues the segment `parent` or starts a new sequence, and returns its
    /// index.
    @discardableResult
    public mutating func append(_ segment: [Int], continuing parent: Int? = nil) -> Int {
        precondition(parent.map { $0 >= 0 && $0 < parents.count } ?? true, "a segment can only continue an earlier one")
        tokens += segment
        offsets.append(tokens.count)
        parents.append(parent)
        return parents.count - 1
    }

    public var segmentCount: Int { parents.count }

    /// The indices of a segment's tokens in `tokens`.
    public func range(of segment: Int) -> Range<Int> { offsets[segment]..<offsets[segment + 1] }
}

/// The segments of a batch with the keys they attend to.
struct BatchLayout {
    struct Segment {
        /// Rows of its tokens in the batch.
        var rows: Range<Int>
        /// The position of its first token in the sequence.
        var firstPosition: Int
        /// Rows of its ancestors, earliest first.
        var ancestors: [Range<Int>]
        var length: Int { rows.count }
        /// The number of keys its last token attends to.
        var keyCount: Int { firstPosition + rows.count }
    }

    var tokenCount: Int
    var segments: [Segment]
    /// Groups of segments that share keys, each ascending.
    ///
    /// One worker sums a group's gradients of the keys, in order.
    var trees: [[Int]]
    /// The largest number of keys of any segment.
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
