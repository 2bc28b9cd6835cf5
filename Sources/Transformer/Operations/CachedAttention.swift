import Foundation
import WideVectors

/// Attention of one new token over cached pages.
package enum CachedAttention {
    /// A stretch of cached tokens: a page's keys of one head (its values follow) and how many tokens are valid.
    package struct Stretch {
        var keys: UnsafePointer<Float>
        var count: Int

        package init(keys: UnsafePointer<Float>, count: Int) {
            self.keys = keys
            self.count = count
        }
    }

    /// Kernels for heads of `dimension` numbers, with the bits of the loops here.
    private static func kernels(_ dimension: Int) -> ckpt_page_kernels? { ckpt_page_kernels(dimension)?.pointee }

    /// Unscaled products of a query with up to 32 keys of a page `[dimension, 32]`; always 32 numbers are written.
    @inline(__always)
    private static func scores(
        _ query: UnsafePointer<Float>, _ keys: UnsafePointer<Float>, _ dimension: Int, into scores: Floats
    ) {
        var a = Lane.zero
        var b = Lane.zero
        var c = Lane.zero
        var d = Lane.zero
        for i in 0..<dimension {
            let q = query[i]
            let column = keys + i * 32
            a += q * load(column, 0)
            b += q * load(column, 8)
            c += q * load(column, 16)
            d += q * load(column, 24)
        }
        store(a, scores, 0)
        store(b, scores, 8)
        store(c, scores, 16)
        store(d, scores, 24)
    }

    /// softmax(query · keys / √dimension) · values for queries `[heads, dimension]` of heads that share them, into outputs
    /// of the same shape. `scratch` has room for 32 numbers a head and page.
    package static func forward(
        queries: UnsafePointer<Float>, heads: Int, dimension: Int, stretches: Int, stretch: (Int) -> Stretch,
        into output: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
    ) {
        let kernels = kernels(dimension)
        let scale = 1 / Float(dimension).squareRoot()
        let room = stretches * 32
        for index in 0..<stretches {
            let part = stretch(index)
            if let kernels {
                // Behind the last page's keys come its values.
                let next = index + 1 < stretches ? stretch(index + 1).keys : part.keys + dimension * 32
                kernels.scores(queries, heads, dimension, part.keys, next, scratch + index * 32, room)
            } else {
                for head in 0..<heads {
                    scores(
                        queries + head * dimension, part.keys, dimension, into: scratch + (head * room + index * 32))
                }
            }
        }
        output.update(repeating: 0, count: heads * dimension)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * heads) { numbers in
            let (tops, sums) = (numbers.baseAddress!, numbers.baseAddress! + heads)
            tops.update(repeating: -.infinity, count: heads)
            sums.update(repeating: 0, count: heads)
            for index in 0..<stretches {
                let count = stretch(index).count
                for head in 0..<heads {
                    tops[head] = max(tops[head], VectorMath.maximum(scratch + (head * room + index * 32), count))
                }
            }
            for index in 0..<stretches {
                let part = stretch(index)
                let values = part.keys + dimension * 32
                for head in 0..<heads {
                    let weights = scratch + (head * room + index * 32)
                    sums[head] += VectorMath.exponentials(
                        of: weights, scale: scale, minus: tops[head] * scale, into: weights, part.count)
                    guard kernels == nil else { continue }
                    for t in 0..<part.count {
                        VectorMath.accumulate(
                            weights[t], values + t * dimension, into: output + head * dimension, dimension)
                    }
                }
                kernels?.values(scratch + index * 32, room, heads, values, part.count, dimension, output)
            }
            for head in 0..<heads {
                let inverse = 1 / sums[head]
                for i in 0..<dimension { output[head * dimension + i] *= inverse }
            }
        }
    }

    /// `forward` by the definition, over plain rows of keys and values.
    package static func naive(query: [Float], keys: [[Float]], values: [[Float]]) -> [Float] {
        let scores = keys.map { key in
            zip(query, key).reduce(0) { $0 + Double($1.0) * Double($1.1) } / Double(query.count).squareRoot()
        }
        let top = scores.max() ?? 0
        let weights = scores.map { exp($0 - top) }
        let sum = weights.reduce(0, +)
        return query.indices.map { i in
            Float(zip(weights, values).reduce(0) { $0 + $1.0 / sum * Double($1.1[i]) })
        }
    }
}
