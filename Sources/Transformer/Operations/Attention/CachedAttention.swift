import CKernels
import CheckpointIO

/// The number format of cached keys and values.
public enum CachePrecision: String, Sendable, CaseIterable {
    case fp32
    /// Rounded to the nearest bfloat16 when they are written, for half the memory.
    case bf16

    var bytesPerElement: Int { self == .bf16 ? 2 : 4 }
}

/// A page of the key-value cache with up to 32 tokens.
package struct KVPage {
    package static let tokens = 32

    /// For each layer and key head the keys `[dimension, 32]`, then the values `[32, dimension]`.
    ///
    /// Tokens are columns of the keys, so that a query meets 32 keys at once.
    var start: UnsafeRawPointer
    /// The number of valid tokens.
    var count: Int

    package init(start: UnsafeRawPointer, count: Int) {
        self.start = start
        self.count = count
    }

    /// The pages that `tokens` tokens of one sequence take.
    static func count(tokens: Int) -> Int { (tokens + Self.tokens - 1) / Self.tokens }

    /// The bytes of one page.
    package static func bytes(_ configuration: ModelConfiguration, _ precision: CachePrecision) -> Int {
        tokens * configuration.layerCount * 2 * configuration.keyValueWidth * precision.bytesPerElement
    }

    /// The bytes of the pages that `tokens` tokens of one sequence take.
    static func bytes(tokens: Int, _ configuration: ModelConfiguration, _ precision: CachePrecision) -> Int {
        count(tokens: tokens) * bytes(configuration, precision)
    }
}

/// Attention of one new token over the cached tokens of its sequence.
package enum CachedAttention {
    /// Unscaled products of a query with the 32 keys of a page `[dimension, 32]`, valid or not.
    @inline(__always)
    private static func computeScores(
        _ query: UnsafePointer<Float>, _ keys: UnsafePointer<Float>, _ dimension: Int, into scores: Floats
    ) {
        var a = Vector8.zero
        var b = Vector8.zero
        var c = Vector8.zero
        var d = Vector8.zero
        for i in 0..<dimension {
            let q = query[i]
            let column = keys + i * KVPage.tokens
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

    /// Calls `body` with cached numbers as floats.
    private static func withFloats(
        _ numbers: UnsafeRawPointer, _ count: Int, _ precision: CachePrecision, _ body: (UnsafePointer<Float>) -> Void
    ) {
        guard precision == .bf16 else { return body(numbers.assumingMemoryBound(to: Float.self)) }
        withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { wide in
            guard let floats = wide.baseAddress else { return }
            BFloat16.widen(numbers.assumingMemoryBound(to: UInt16.self), into: floats, count)
            body(floats)
        }
    }

    /// softmax(q kᵀ / √dimension) v, for queries `[heads, dimension]` of heads that share keys, into `output` of the
    /// same shape.
    ///
    /// The keys start `offset` elements into each page, and the first `skipped` tokens of the first page are left out.
    /// The next head's keys and values are prefetched at the end. `scratch` holds 32 floats per head and page.
    package static func forward(
        queries: UnsafePointer<Float>, heads: Int, dimension: Int, pages: UnsafeBufferPointer<KVPage>,
        _ precision: CachePrecision = .fp32, skipping skipped: Int = 0, offset: Int,
        into output: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
    ) {
        // The same bits as the loops here.
        let kernels =
            precision == .bf16
            ? ckpt_cached_attention_bf16_kernels(dimension)?.pointee : ckpt_cached_attention_kernels(dimension)?.pointee
        let scale = 1 / Float(dimension).squareRoot()
        let scoreStride = pages.count * KVPage.tokens
        // In bytes.
        let offset = offset * precision.bytesPerElement
        let half = dimension * KVPage.tokens * precision.bytesPerElement
        let first = pages[0].start + offset
        for (index, page) in pages.enumerated() {
            let keys = page.start + offset
            let scores = scratch + index * KVPage.tokens
            if let kernels {
                let next = index + 1 < pages.count ? pages[index + 1].start + offset : first + half
                kernels.scores(queries, heads, dimension, keys, next, scores, scoreStride)
            } else {
                withFloats(keys, dimension * KVPage.tokens, precision) { keys in
                    for head in 0..<heads {
                        computeScores(queries + head * dimension, keys, dimension, into: scores + head * scoreStride)
                    }
                }
            }
        }
        output.update(repeating: 0, count: heads * dimension)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * heads) { numbers in
            guard let tops = numbers.baseAddress else { return }
            let sums = tops + heads
            tops.update(repeating: -.infinity, count: heads)
            sums.update(repeating: 0, count: heads)
            for (index, page) in pages.enumerated() {
                let hidden = index == 0 ? skipped : 0
                for head in 0..<heads {
                    let scores = scratch + (head * scoreStride + index * KVPage.tokens + hidden)
                    tops[head] = max(tops[head], VectorMath.maximum(scores, page.count - hidden))
                }
            }
            for (index, page) in pages.enumerated() {
                let values = page.start + (offset + half)
                let next = index + 1 < pages.count ? pages[index + 1].start + (offset + half) : first + 2 * half
                let hidden = index == 0 ? skipped : 0
                for head in 0..<heads {
                    let weights = scratch + (head * scoreStride + index * KVPage.tokens)
                    weights.update(repeating: 0, count: hidden)
                    sums[head] += VectorMath.exponentials(
                        of: weights + hidden, scale: scale, minus: tops[head] * scale, into: weights + hidden,
                        page.count - hidden)
                }
                if let kernels {
                    kernels.add_values(
                        scratch + index * KVPage.tokens, scoreStride, heads, values, next, page.count, dimension,
                        output)
                    continue
                }
                withFloats(values, page.count * dimension, precision) { values in
                    for head in 0..<heads {
                        let weights = scratch + (head * scoreStride + index * KVPage.tokens)
                        for t in hidden..<page.count {
                            VectorMath.accumulate(
                                weights[t], values + t * dimension, into: output + head * dimension, dimension)
                        }
                    }
                }
            }
            for head in 0..<heads {
                let inverse = 1 / sums[head]
                for i in 0..<dimension { output[head * dimension + i] *= inverse }
            }
        }
    }
}
