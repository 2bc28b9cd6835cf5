import Foundation
import CKernels

/// Attention of one new token over cached pages.
package enum CachedAttention {
    /// A stretch of cached tokens: a page, and how many of its tokens are valid.
    package struct Stretch {
        var page: UnsafePointer<Float>
        var count: Int

        package init(page: UnsafePointer<Float>, count: Int) {
            self.page = page
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
    /// of the same shape. The keys [dimension, 32] begin `offset` numbers into a page, their values [32, dimension] follow;
    /// memory is asked for those of the next offset at the end. `scratch` has room for 32 numbers a head and page.
    package static func forward(
        queries: UnsafePointer<Float>, heads: Int, dimension: Int, stretches: UnsafeBufferPointer<Stretch>, offset: Int,
        into output: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
    ) {
        let kernels = kernels(dimension)
        let scale = 1 / Float(dimension).squareRoot()
        let room = stretches.count * 32
        let half = dimension * 32
        let first = stretches[0].page + offset
        for (index, part) in stretches.enumerated() {
            let keys = part.page + offset
            if let kernels {
                let next = index + 1 < stretches.count ? stretches[index + 1].page + offset : first + half
                kernels.scores(queries, heads, dimension, keys, next, scratch + index * 32, room)
            } else {
                for head in 0..<heads {
                    scores(queries + head * dimension, keys, dimension, into: scratch + (head * room + index * 32))
                }
            }
        }
        output.update(repeating: 0, count: heads * dimension)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * heads) { numbers in
            let (tops, sums) = (numbers.baseAddress!, numbers.baseAddress! + heads)
            tops.update(repeating: -.infinity, count: heads)
            sums.update(repeating: 0, count: heads)
            for (index, part) in stretches.enumerated() {
                for head in 0..<heads {
                    tops[head] = max(tops[head], VectorMath.maximum(scratch + (head * room + index * 32), part.count))
                }
            }
            for (index, part) in stretches.enumerated() {
                let values = part.page + (offset + half)
                let next =
                    index + 1 < stretches.count ? stretches[index + 1].page + (offset + half) : first + 2 * half
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
                kernels?.values(scratch + index * 32, room, heads, values, next, part.count, dimension, output)
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
