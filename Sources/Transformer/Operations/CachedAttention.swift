import Foundation
import WideVectors

/// Attention of one new token over cached pages.
enum CachedAttention {
    /// A stretch of cached tokens: a page's keys of one head (its values follow) and how many tokens are valid.
    struct Stretch {
        var keys: UnsafePointer<Float>
        var count: Int
    }

    /// Unscaled products of a query with up to 32 keys of a page `[dimension, 32]`; always 32 numbers are written.
    @inline(__always)
    static func scores(
        _ query: UnsafePointer<Float>, _ keys: UnsafePointer<Float>, _ dimension: Int, into scores: Floats
    ) {
        if VectorMath.hasWideLoops { return ckpt_page_scores(query, keys, dimension, scores) }
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

    /// output += Σ weights[t] values[t] over `count` rows.
    @inline(__always)
    static func addValues(
        _ weights: UnsafePointer<Float>, _ values: UnsafePointer<Float>, _ count: Int, _ dimension: Int,
        into output: Floats
    ) {
        if VectorMath.hasWideLoops && dimension.isMultiple(of: 8) {
            return ckpt_page_values(weights, values, count, dimension, output)
        }
        var column = 0
        while column + 32 <= dimension {
            var a = load(output, column)
            var b = load(output, column + 8)
            var c = load(output, column + 16)
            var d = load(output, column + 24)
            for t in 0..<count {
                let w = weights[t]
                let row = values + (t * dimension + column)
                a += w * load(row, 0)
                b += w * load(row, 8)
                c += w * load(row, 16)
                d += w * load(row, 24)
            }
            store(a, output, column)
            store(b, output, column + 8)
            store(c, output, column + 16)
            store(d, output, column + 24)
            column += 32
        }
        if column < dimension {
            for t in 0..<count {
                VectorMath.accumulate(
                    weights[t], values + (t * dimension + column), into: output + column, dimension - column)
            }
        }
    }

    /// softmax(query · keys / √dimension) · values. `scratch` has room for 32 numbers a page.
    @inline(__always)
    static func forward(
        query: UnsafePointer<Float>, dimension: Int, stretches: Int, stretch: (Int) -> Stretch, into output: Floats,
        scratch: Floats
    ) {
        let scale = 1 / Float(dimension).squareRoot()
        var top = -Float.infinity
        for index in 0..<stretches {
            let part = stretch(index)
            scores(query, part.keys, dimension, into: scratch + index * 32)
            top = max(top, VectorMath.maximum(scratch + index * 32, part.count))
        }
        output.update(repeating: 0, count: dimension)
        var sum: Float = 0
        for index in 0..<stretches {
            let part = stretch(index)
            let weights = scratch + index * 32
            sum += VectorMath.exponentials(of: weights, scale: scale, minus: top * scale, into: weights, part.count)
            addValues(weights, part.keys + dimension * 32, part.count, dimension, into: output)
        }
        let inverse = 1 / sum
        for i in 0..<dimension { output[i] *= inverse }
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
