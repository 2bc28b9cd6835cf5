import Foundation
import Parallel

/// Causal attention over a packed batch: blocks of queries against the keys they may see, never a full square.
///
/// Rows of `qkv` hold the queries of all heads, then the keys, then the values. Query head h uses key head
/// h / (heads / keyValueHeads).
struct Attention {
    let heads: Int
    let keyValueHeads: Int
    let dimension: Int

    init(_ configuration: ModelConfiguration) {
        heads = configuration.attentionHeadCount
        keyValueHeads = configuration.keyValueHeadCount
        dimension = configuration.headDimension
    }

    var group: Int { heads / keyValueHeads }
    var width: Int { heads * dimension }
    var stride: Int { (heads + 2 * keyValueHeads) * dimension }
    var scale: Float { 1 / Float(dimension).squareRoot() }

    /// Queries handled together. Longer blocks make better products, shorter ones compute less above the diagonal.
    static func blockRows(_ keyCount: Int) -> Int { keyCount > 512 ? 128 : 64 }

    /// Floats of scratch that `forward` needs, or both ways.
    func scratchCount(_ team: ThreadTeam, _ layout: BatchLayout, backward: Bool) -> Int {
        isWide
            ? wideScratchCount(team, layout, backward: backward)
            : team.size * scoreCount(layout) * (backward ? 2 : 1)
    }

    /// Scores of one block of queries.
    private func scoreCount(_ layout: BatchLayout) -> Int {
        let rows = layout.segments.reduce(0) { max($0, min($1.length, Self.blockRows($1.keyCount))) }
        return rows * ((layout.longest + 15) & ~15)
    }

    /// Writes the weighted values of all heads `[tokens, heads * dimension]` and each row's log Σ e^score.
    func forward(
        _ team: ThreadTeam, _ layout: BatchLayout, qkv: UnsafePointer<Float>, into output: Floats, normalizers: Floats?,
        scratch: Floats
    ) {
        if isWide { return wideForward(team, layout, qkv, output, normalizers, scratch) }
        let room = scoreCount(layout)
        team.forEach(layout.segments.count * keyValueHeads) { item, worker in
            let segment = layout.segments[item / keyValueHeads]
            let kv = item % keyValueHeads
            for head in (kv * group)..<((kv + 1) * group) {
                forward(segment, head: head, kv, qkv, output, normalizers, scratch + worker * room)
            }
        }
    }

    private func forward(
        _ segment: BatchLayout.Segment, head: Int, _ kv: Int, _ qkv: UnsafePointer<Float>, _ output: Floats,
        _ normalizers: Floats?, _ scores: Floats
    ) {
        let block = Self.blockRows(segment.keyCount)
        let columns = segment.keyCount
        var first = 0
        while first < segment.length {
            let count = min(block, segment.length - first)
            let row = segment.rows.lowerBound + first
            let o = output + row * width + head * dimension
            computeScores(segment, first, count, head, kv, qkv, scores, columns)
            for i in 0..<count {
                let line = scores + i * columns
                let visible = segment.firstPosition + first + i + 1
                let top = VectorMath.maximum(line, visible) * scale
                let sum = VectorMath.exponentials(of: line, scale: scale, minus: top, into: line, visible)
                normalizers?[(row + i) * heads + head] = top + log(sum)
                let inverse = 1 / sum
                var j = 0
                while j + 8 <= visible {
                    store(load(line, j) * inverse, line, j)
                    j += 8
                }
                while j < visible {
                    line[j] *= inverse
                    j += 1
                }
                (line + visible).update(repeating: 0, count: segment.firstPosition + first + count - visible)
            }
            forEachKeyRange(segment, first + count) { keys, column, adding in
                MatrixProduct.times(
                    .alone, count, dimension, keys.count, scores + column, columns,
                    value(qkv, keys.lowerBound, kv), stride, o, width, adding: adding)
            }
            first += count
        }
    }

    /// Gradients of queries, keys and values into `gradient` (laid out like `qkv`), whose rows are overwritten.
    /// `output` is what `forward` wrote, `dOutput` its gradient.
    func backward(
        _ team: ThreadTeam, _ layout: BatchLayout, qkv: UnsafePointer<Float>, output: UnsafePointer<Float>,
        normalizers: UnsafePointer<Float>, dOutput: UnsafePointer<Float>, into gradient: Floats, scratch: Floats
    ) {
        if isWide { return wideBackward(team, layout, qkv, output, normalizers, dOutput, gradient, scratch) }
        let room = scoreCount(layout)
        team.forEach(layout.trees.count * keyValueHeads) { item, worker in
            let kv = item % keyValueHeads
            let tree = layout.trees[item / keyValueHeads]
            for index in tree {
                for row in layout.segments[index].rows {
                    key(gradient, row, kv).update(repeating: 0, count: dimension)
                    value(gradient, row, kv).update(repeating: 0, count: dimension)
                }
            }
            let scores = scratch + worker * 2 * room
            for index in tree {
                for head in (kv * group)..<((kv + 1) * group) {
                    backward(
                        layout.segments[index], head: head, kv, qkv, output, normalizers, dOutput, gradient, scores,
                        scores + room)
                }
            }
        }
    }

    /// With P the weights and dP = dO Vᵀ: dS = P (dP − Σ dO O), dQ = dS K, dK = dSᵀ Q, dV = Pᵀ dO.
    private func backward(
        _ segment: BatchLayout.Segment, head: Int, _ kv: Int, _ qkv: UnsafePointer<Float>,
        _ output: UnsafePointer<Float>, _ normalizers: UnsafePointer<Float>, _ dOutput: UnsafePointer<Float>,
        _ gradient: Floats, _ weights: Floats, _ dWeights: Floats
    ) {
        let block = Self.blockRows(segment.keyCount)
        let columns = segment.keyCount
        var first = 0
        while first < segment.length {
            let count = min(block, segment.length - first)
            let row = segment.rows.lowerBound + first
            let o = output + row * width + head * dimension
            let dO = dOutput + row * width + head * dimension
            let q = qkv + row * stride + head * dimension
            let dQ = gradient + row * stride + head * dimension
            computeScores(segment, first, count, head, kv, qkv, weights, columns)
            forEachKeyRange(segment, first + count) { keys, column, _ in
                MatrixProduct.timesTransposed(
                    .alone, count, keys.count, dimension, dO, width, value(qkv, keys.lowerBound, kv), stride,
                    dWeights + column, columns)
            }
            for i in 0..<count {
                let p = weights + i * columns
                let dp = dWeights + i * columns
                let visible = segment.firstPosition + first + i + 1
                let normalizer = normalizers[(row + i) * heads + head]
                let shared = VectorMath.dot(o + i * width, dO + i * width, dimension)
                _ = VectorMath.exponentials(of: p, scale: scale, minus: normalizer, into: p, visible)
                var j = 0
                while j + 8 <= visible {
                    store(load(p, j) * (load(dp, j) - shared) * scale, dp, j)
                    j += 8
                }
                while j < visible {
                    dp[j] = p[j] * (dp[j] - shared) * scale
                    j += 1
                }
                let rest = segment.firstPosition + first + count - visible
                (p + visible).update(repeating: 0, count: rest)
                (dp + visible).update(repeating: 0, count: rest)
            }
            forEachKeyRange(segment, first + count) { keys, column, adding in
                MatrixProduct.times(
                    .alone, count, dimension, keys.count, dWeights + column, columns,
                    key(qkv, keys.lowerBound, kv), stride, dQ, stride, adding: adding)
                MatrixProduct.transposedTimes(
                    .alone, keys.count, dimension, count, dWeights + column, columns, q, stride,
                    key(gradient, keys.lowerBound, kv), stride, adding: true)
                MatrixProduct.transposedTimes(
                    .alone, keys.count, dimension, count, weights + column, columns, dO, width,
                    value(gradient, keys.lowerBound, kv), stride, adding: true)
            }
            first += count
        }
    }

    /// Unscaled products of the block's queries with every key one of them may see.
    private func computeScores(
        _ segment: BatchLayout.Segment, _ first: Int, _ count: Int, _ head: Int, _ kv: Int,
        _ qkv: UnsafePointer<Float>, _ scores: Floats, _ columns: Int
    ) {
        let q = qkv + (segment.rows.lowerBound + first) * stride + head * dimension
        forEachKeyRange(segment, first + count) { keys, column, _ in
            MatrixProduct.timesTransposed(
                .alone, count, keys.count, dimension, q, stride, key(qkv, keys.lowerBound, kv), stride,
                scores + column, columns)
        }
    }

    /// Calls `body(rows, column, isLater)` for the stretches of keys that the segment's first `own` tokens may see.
    @inline(__always)
    private func forEachKeyRange(
        _ segment: BatchLayout.Segment, _ own: Int, _ body: (Range<Int>, Int, Bool) -> Void
    ) {
        var column = 0
        for range in segment.ancestors {
            body(range, column, column > 0)
            column += range.count
        }
        body(segment.rows.lowerBound..<(segment.rows.lowerBound + own), column, column > 0)
    }

    @inline(__always)
    func key(_ qkv: UnsafePointer<Float>, _ row: Int, _ kv: Int) -> UnsafePointer<Float> {
        qkv + row * stride + width + kv * dimension
    }

    @inline(__always)
    func value(_ qkv: UnsafePointer<Float>, _ row: Int, _ kv: Int) -> UnsafePointer<Float> {
        qkv + row * stride + width + (keyValueHeads + kv) * dimension
    }

    @inline(__always)
    func key(_ qkv: Floats, _ row: Int, _ kv: Int) -> Floats { qkv + row * stride + width + kv * dimension }

    @inline(__always)
    func value(_ qkv: Floats, _ row: Int, _ kv: Int) -> Floats {
        qkv + row * stride + width + (keyValueHeads + kv) * dimension
    }
}
