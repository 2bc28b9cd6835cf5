import Foundation

/// Draws tokens from rows of logits.
package enum Sampling {
    /// Temperature and truncation of the distribution that tokens are drawn from.
    package struct Rule: Sendable {
        /// 0 selects the most likely token.
        package var temperature: Float
        /// 0 keeps all tokens.
        package var topK: Int
        package var topP: Float
        package var minP: Float

        package init(temperature: Float = 1, topK: Int = 0, topP: Float = 1, minP: Float = 0) {
            self.temperature = temperature
            self.topK = topK
            self.topP = topP
            self.minP = minP
        }

        var truncates: Bool { topK > 0 || topP < 1 || minP > 0 }
    }

    /// Draws a token with the random number `uniform` in [0, 1).
    ///
    /// The log-probability is over the whole vocabulary, at the rule's temperature (at 1 if that is 0). `scratch` holds
    /// `count` floats and may be `logits`.
    package static func draw(
        _ logits: UnsafePointer<Float>, _ count: Int, _ rule: Rule, uniform: Double,
        scratch: UnsafeMutablePointer<Float>
    ) -> (token: Int, logProbability: Float) {
        let greedy = rule.temperature == 0
        let scale = greedy ? 1 : 1 / rule.temperature
        let top = VectorMath.maximum(logits, count)
        if greedy {
            var token = 0
            while token < count - 1, logits[token] != top { token += 1 }
            let mass = VectorMath.exponentials(of: logits, scale: 1, minus: top, into: scratch, count)
            return (token, -log(mass))
        }
        // The logits may be overwritten by now; log(weight) gives the token's logit relative to the largest.
        let mass = VectorMath.exponentials(of: logits, scale: scale, minus: top * scale, into: scratch, count)
        let token =
            rule.truncates
            ? drawTruncated(scratch, count, rule, mass, uniform) : drawFromAll(scratch, count, Double(mass) * uniform)
        return (token, min(0, log(scratch[token]) - log(mass)))
    }

    /// The log-probability of one token at the rule's temperature (at 1 if that is 0).
    package static func logProbability(
        of token: Int, _ logits: UnsafePointer<Float>, _ count: Int, _ rule: Rule
    ) -> Float {
        let scale = rule.temperature == 0 ? 1 : 1 / rule.temperature
        return min(0, logits[token] * scale - LogProbabilities.normalizerAndMean(logits, count, scale).normalizer)
    }

    /// The first token at which the cumulative weight exceeds `goal`.
    private static func drawFromAll(_ weights: UnsafePointer<Float>, _ count: Int, _ goal: Double) -> Int {
        var sum = 0.0
        var i = 0
        while i + 8 <= count {
            let next = sum + Double(horizontalSum(load(weights, i)))
            if next > goal { break }
            sum = next
            i += 8
        }
        var last = -1
        while i < count {
            if weights[i] > 1e-37 { last = i }
            sum += Double(weights[i])
            if sum > goal, last == i { return i }
            i += 1
        }
        if last >= 0 { return last }
        // Rounding moved the goal past the end: take the last token with a weight.
        i = count - 1
        while i > 0, weights[i] <= 1e-37 { i -= 1 }
        return i
    }

    /// Draws after truncating the distribution by top-k, then top-p, then min-p.
    ///
    /// Top-p keeps the smallest set of most likely tokens that reaches its share. Ties go to the lower token id.
    private static func drawTruncated(
        _ weights: UnsafePointer<Float>, _ count: Int, _ rule: Rule, _ mass: Float, _ uniform: Double
    ) -> Int {
        var kept = likeliest(weights, count, rule, mass)
        kept.sort { weights[$0] != weights[$1] ? weights[$0] > weights[$1] : $0 < $1 }
        if rule.topK > 0, kept.count > rule.topK { kept.removeLast(kept.count - rule.topK) }
        if rule.topP < 1 {
            let whole = rule.topK > 0 ? kept.reduce(0) { $0 + Double(weights[$1]) } : Double(mass)
            var sum = 0.0
            for (index, token) in kept.enumerated() {
                sum += Double(weights[token])
                if sum >= Double(rule.topP) * whole {
                    kept.removeLast(kept.count - index - 1)
                    break
                }
            }
        }
        if rule.minP > 0 {
            // The most likely token has weight 1, so min-p compares with the weights directly.
            let end = kept.firstIndex { weights[$0] < rule.minP } ?? kept.count
            kept.removeLast(kept.count - max(1, end))
        }
        let goal = uniform * kept.reduce(0) { $0 + Double(weights[$1]) }
        var sum = 0.0
        for token in kept {
            sum += Double(weights[token])
            if sum > goal { return token }
        }
        return kept[kept.count - 1]
    }

    /// A superset of the tokens that the rule keeps, found with a histogram of the weights, so that few tokens need
    /// sorting.
    private static func likeliest(_ weights: UnsafePointer<Float>, _ count: Int, _ rule: Rule, _ mass: Float) -> [Int] {
        let binCount = 1024
        @inline(__always)
        func bin(_ weight: Float) -> Int {
            // Weights are at most 1, and bit patterns of positive floats are ordered: eight bins per octave.
            min(binCount - 1, Int((0x3F80_0000 - min(0x3F80_0000, weight.bitPattern)) >> 20))
        }
        var members = [Int](repeating: 0, count: binCount)
        var sums = [Double](repeating: 0, count: binCount)
        for token in 0..<count {
            let index = bin(weights[token])
            members[index] += 1
            sums[index] += Double(weights[token])
        }
        var last = 0
        var tokens = 0
        var sum = 0.0
        let goal = rule.topP < 1 ? Double(rule.topP) * Double(mass) * (1 + 1e-5) : .infinity
        while last < binCount - 1 {
            tokens += members[last]
            sum += sums[last]
            if rule.topK > 0 && tokens >= rule.topK || sum >= goal { break }
            last += 1
        }
        if rule.minP > 0 { last = min(last, bin(rule.minP)) }
        return (0..<count).filter { bin(weights[$0]) <= last }
    }
}
