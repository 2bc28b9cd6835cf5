import CheckpointIO
import Foundation
import Parallel

/// Causal grouped-query attention over a packed batch: softmax(q kᵀ / √dimension) v.
///
/// Blocks of queries are multiplied with the keys they attend to, so that the full matrix of scores never exists. A row
/// of `qkv` `[tokens, stride]` holds the queries of all heads, then the keys, then the values. Query head h uses key
/// head h / `group`. With a window, a token attends to the last `window` tokens only, itself included.
struct Attention {
    let heads: Int
    let keyValueHeads: Int
    let dimension: Int

    init(_ configuration: ModelConfiguration) {
        heads = configuration.attentionHeadCount
        keyValueHeads = configuration.keyValueHeadCount
        dimension = configuration.headDimension
    }

    /// Query heads that share a key head.
    var group: Int { heads / keyValueHeads }
    var width: Int { heads * dimension }
    var stride: Int { (heads + 2 * keyValueHeads) * dimension }
    var scale: Float { 1 / Float(dimension).squareRoot() }

    /// Queries per block: long blocks make faster products, short ones compute fewer masked scores.
    static func blockRows(_ keyCount: Int) -> Int { keyCount > 512 ? 128 : 64 }

    /// Floats of scratch that `forward` needs, or `forward` and `backward`.
    func scratchCount(_ team: ThreadTeam, _ layout: BatchLayout, backward: Bool) -> Int {
        usesKernels
            ? kernelScratchCount(team, layout, backward: backward)
            : team.size * scoreCount(layout) * (backward ? 2 : 1)
    }

    /// Floats that the scores of one block of queries take.
    private func scoreCount(_ layout: BatchLayout) -> Int {
        let rows = layout.segments.reduce(0) { max($0, min($1.length, Self.blockRows($1.keyCount))) }
        return rows * ((layout.longest + 15) & ~15)
    }

    /// Writes the result of all heads `[tokens, heads * dimension]`, and log Σ e^score `[tokens, heads]` to
    /// `normalizers`.
    func forward(
        _ team: ThreadTeam, _ layout: BatchLayout, window: Int?, qkv: UnsafePointer<Float>, into output: Floats,
        normalizers: Floats?, scratch: Floats
    ) {
        if usesKernels { return kernelForward(team, layout, window: window, qkv, output, normalizers, scratch) }
        let scoreCount = scoreCount(layout)
        team.forEach(layout.segments.count * keyValueHeads) { item, worker in
            let segment = layout.segments[item / keyValueHeads]
            let kv = item % keyValueHeads
            for head in (kv * group)..<((kv + 1) * group) {
                forward(segment, head: head, kv, window, qkv, output, normalizers, scratch + worker * scoreCount)
            }
        }
    }

    private func forward(
        _ segment: BatchLayout.Segment, head: Int, _ kv: Int, _ window: Int?, _ qkv: UnsafePointer<Float>,
        _ output: Floats, _ normalizers: Floats?, _ scores: Floats
    ) {
        let block = Self.blockRows(segment.keyCount)
        let columns = segment.keyCount
        var first = 0
        while first < segment.length {
            let count = min(block, segment.length - first)
            let row = segment.rows.lowerBound + first
            let o = output + row * width + head * dimension
            let start = firstKey(segment.firstPosition + first, window)
            computeScores(segment, first, count, from: start, head, kv, qkv, scores, columns)
            for i in 0..<count {
                let end = segment.firstPosition + first + i + 1
                let hidden = firstKey(end - 1, window)
                let line = scores + i * columns + hidden
                let visible = end - hidden
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
                (line + visible).update(repeating: 0, count: segment.firstPosition + first + count - end)
                (scores + i * columns + start).update(repeating: 0, count: hidden - start)
            }
            forEachKeyRange(segment, from: start, first + count) { keys, column, adding in
                gemmNN(
                    Matrix(scores + column, rows: count, columns: keys.count, stride: columns),
                    values(qkv, keys, kv), into: Matrix(o, rows: count, columns: dimension, stride: width),
                    accumulating: adding, team: .alone)
            }
            first += count
        }
    }

    /// Writes the gradients of queries, keys and values to `gradient`, laid out like `qkv`.
    ///
    /// `output` and `normalizers` are the results of `forward`, `dOutput` is the gradient of `output`.
    func backward(
        _ team: ThreadTeam, _ layout: BatchLayout, window: Int?, qkv: UnsafePointer<Float>,
        output: UnsafePointer<Float>, normalizers: UnsafePointer<Float>, dOutput: UnsafePointer<Float>,
        into gradient: Floats, scratch: Floats
    ) {
        if usesKernels {
            return kernelBackward(
                team, layout, window: window, qkv, output, normalizers, dOutput, gradient, scratch)
        }
        let scoreCount = scoreCount(layout)
        team.forEach(layout.trees.count * keyValueHeads) { item, worker in
            let kv = item % keyValueHeads
            let tree = layout.trees[item / keyValueHeads]
            for index in tree {
                for row in layout.segments[index].rows {
                    key(gradient, row, kv).update(repeating: 0, count: dimension)
                    value(gradient, row, kv).update(repeating: 0, count: dimension)
                }
            }
            let scores = scratch + worker * 2 * scoreCount
            for index in tree {
                for head in (kv * group)..<((kv + 1) * group) {
                    backward(
                        layout.segments[index], head: head, kv, window, qkv, output, normalizers, dOutput, gradient,
                        scores,
                        scores + scoreCount)
                }
            }
        }
    }

    /// With P = softmax(S) and dP = dO Vᵀ: dS = P (dP − Σ dO O), dQ = dS K, dK = dSᵀ Q, dV = Pᵀ dO.
    private func backward(
        _ segment: BatchLayout.Segment, head: Int, _ kv: Int, _ window: Int?, _ qkv: UnsafePointer<Float>,
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
            let dOutputRows = dOutput + row * width + head * dimension
            let dO = Matrix(reading: dOutputRows, rows: count, columns: dimension, stride: width)
            let q = Matrix(
                reading: qkv + row * stride + head * dimension, rows: count, columns: dimension, stride: stride)
            let dQ = Matrix(
                gradient + row * stride + head * dimension, rows: count, columns: dimension, stride: stride)
            let start = firstKey(segment.firstPosition + first, window)
            computeScores(segment, first, count, from: start, head, kv, qkv, weights, columns)
            forEachKeyRange(segment, from: start, first + count) { keys, column, _ in
                gemmNT(
                    dO, values(qkv, keys, kv),
                    into: Matrix(dWeights + column, rows: count, columns: keys.count, stride: columns), team: .alone)
            }
            for i in 0..<count {
                let end = segment.firstPosition + first + i + 1
                let hidden = firstKey(end - 1, window)
                let p = weights + i * columns + hidden
                let dp = dWeights + i * columns + hidden
                let visible = end - hidden
                let normalizer = normalizers[(row + i) * heads + head]
                let shared = VectorMath.dot(o + i * width, dOutputRows + i * width, dimension)
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
                let rest = segment.firstPosition + first + count - end
                (p + visible).update(repeating: 0, count: rest)
                (dp + visible).update(repeating: 0, count: rest)
                (p - (hidden - start)).update(repeating: 0, count: hidden - start)
                (dp - (hidden - start)).update(repeating: 0, count: hidden - start)
            }
            forEachKeyRange(segment, from: start, first + count) { keys, column, adding in
                let p = Matrix(weights + column, rows: count, columns: keys.count, stride: columns)
                let dS = Matrix(dWeights + column, rows: count, columns: keys.count, stride: columns)
                gemmNN(dS, self.keys(qkv, keys, kv), into: dQ, accumulating: adding, team: .alone)
                gemmTN(dS, q, into: self.keys(gradient, keys, kv), accumulating: true, team: .alone)
                gemmTN(p, dO, into: values(gradient, keys, kv), accumulating: true, team: .alone)
            }
            first += count
        }
    }

    /// The position of the first key that the token at `position` attends to.
    @inline(__always)
    private func firstKey(_ position: Int, _ window: Int?) -> Int { window.map { max(0, position + 1 - $0) } ?? 0 }

    /// q kᵀ of the block's queries and every key that one of them attends to, not scaled yet.
    private func computeScores(
        _ segment: BatchLayout.Segment, _ first: Int, _ count: Int, from start: Int, _ head: Int, _ kv: Int,
        _ qkv: UnsafePointer<Float>, _ scores: Floats, _ columns: Int
    ) {
        let q = Matrix(
            reading: qkv + (segment.rows.lowerBound + first) * stride + head * dimension, rows: count,
            columns: dimension, stride: stride)
        forEachKeyRange(segment, from: start, first + count) { keys, column, _ in
            gemmNT(
                q, self.keys(qkv, keys, kv),
                into: Matrix(scores + column, rows: count, columns: keys.count, stride: columns), team: .alone)
        }
    }

    /// Calls `body(rows, column, isLater)` for each range of keys that the segment's first `own` tokens attend to,
    /// without the keys at positions before `start`.
    @inline(__always)
    private func forEachKeyRange(
        _ segment: BatchLayout.Segment, from start: Int, _ own: Int, _ body: (Range<Int>, Int, Bool) -> Void
    ) {
        var column = 0
        for range in segment.ancestors {
            let hidden = max(0, start - column)
            if hidden < range.count {
                body(range.lowerBound + hidden..<range.upperBound, column + hidden, column > start)
            }
            column += range.count
        }
        let rows = segment.rows.lowerBound
        let hidden = max(0, start - column)
        body(rows + hidden..<rows + own, column + hidden, column > start)
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

    private func keys(_ qkv: UnsafePointer<Float>, _ rows: Range<Int>, _ kv: Int) -> Matrix {
        Matrix(reading: key(qkv, rows.lowerBound, kv), rows: rows.count, columns: dimension, stride: stride)
    }

    private func values(_ qkv: UnsafePointer<Float>, _ rows: Range<Int>, _ kv: Int) -> Matrix {
        Matrix(reading: value(qkv, rows.lowerBound, kv), rows: rows.count, columns: dimension, stride: stride)
    }

    private func keys(_ qkv: Floats, _ rows: Range<Int>, _ kv: Int) -> Matrix {
        Matrix(key(qkv, rows.lowerBound, kv), rows: rows.count, columns: dimension, stride: stride)
    }

    private func values(_ qkv: Floats, _ rows: Range<Int>, _ kv: Int) -> Matrix {
        Matrix(value(qkv, rows.lowerBound, kv), rows: rows.count, columns: dimension, stride: stride)
    }
}
