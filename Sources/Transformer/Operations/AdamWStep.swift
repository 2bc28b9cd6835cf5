import Parallel

/// One AdamW update of a range of parameters, in one pass over parameters, gradients and both moments.
enum AdamWStep {
    struct Constants {
        /// 1 − learning rate · weight decay.
        var keep: Float
        var beta2: Float
        var oneMinusBeta1: Float
        var oneMinusBeta2: Float
        /// Learning rate / (1 − β₁ᵗ).
        var stepSize: Float
        /// 1 / √(1 − β₂ᵗ).
        var inverseRootCorrection: Float
        var epsilon: Float
        var gradientScale: Float
    }

    /// m += (1 − β₁)(g − m), v = β₂ v + (1 − β₂) g², p = keep p − stepSize m / (inverseRootCorrection √v + ε).
    static func apply(_ c: Constants, _ count: Int, _ p: Floats, _ g: UnsafePointer<Float>, _ m: Floats, _ v: Floats) {
        var i = 0
        while i + 8 <= count {
            let gradient = load(g, i) * c.gradientScale
            let old = load(m, i)
            let mean = old + c.oneMinusBeta1 * (gradient - old)
            let square = load(v, i) * c.beta2 + c.oneMinusBeta2 * (gradient * gradient)
            store(mean, m, i)
            store(square, v, i)
            let denominator = square.squareRoot() * c.inverseRootCorrection + c.epsilon
            store(load(p, i) * c.keep - c.stepSize * (mean / denominator), p, i)
            i += 8
        }
        while i < count {
            let gradient = g[i] * c.gradientScale
            m[i] += c.oneMinusBeta1 * (gradient - m[i])
            v[i] = v[i] * c.beta2 + c.oneMinusBeta2 * (gradient * gradient)
            p[i] = p[i] * c.keep - c.stepSize * (m[i] / (v[i].squareRoot() * c.inverseRootCorrection + c.epsilon))
            i += 1
        }
    }

    /// The same for a row whose numbers are not all in float32, one block after the other.
    ///
    /// The parameters change by the moments before those are rounded. `index` is that of the row's first element among
    /// the random words of `key`.
    static func apply(
        _ c: Constants, _ count: Int, _ p: NumberRow, _ g: NumberRow, _ m: MomentRow, _ v: MomentRow, _ key: UInt64,
        index: Int
    ) {
        let size = Quantization.blockSize
        let kernels = Quantization.kernels
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 4 * size) { floats in
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: size) { random in
                guard let scratch = floats.baseAddress, let random = random.baseAddress else { return }
                for block in Quantization.ranges(count) {
                    let first = UInt32(truncatingIfNeeded: index + block.lowerBound)
                    let weights = p.load(block, scratch)
                    let gradient = g.load(block, scratch + size)
                    let (mean, square) = (m.load(block, scratch + 2 * size), v.load(block, scratch + 3 * size))
                    apply(c, block.count, weights, gradient, mean, square)
                    if case .quantized = m {
                        kernels.random_words(key, first, block.count, random)
                        m.store(mean, random, in: block)
                        v.store(square, random, in: block)
                    }
                    if case .bfloat16(let halves) = p {
                        kernels.random_words(key &+ SplitMix64.increment, first, block.count, random)
                        kernels.round_bf16(weights, random, block.count, halves + block.lowerBound)
                    }
                }
            }
        }
    }
}
