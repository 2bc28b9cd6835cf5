import CKernels
import Foundation
import Parallel

/// Log-probabilities of target tokens, entropies, and the gradients of both, over rows of logits `[rows, vocabulary]`.
package enum LogProbabilities {
    /// With z = logits / temperature, computes log softmax(z)[target] and the entropy of softmax(z) of each row.
    ///
    /// `normalizers` receives each row's log Σ e^z, which `backward` needs. All results are `[rows]`.
    static func forward(
        _ team: ThreadTeam, rows: Int, vocabulary: Int, _ logits: UnsafePointer<Float>, inverseTemperature: Float,
        targets: (Int) -> Int, logProbabilities: UnsafeMutablePointer<Float>, entropies: UnsafeMutablePointer<Float>,
        normalizers: UnsafeMutablePointer<Float>
    ) {
        team.split(rows, grain: max(1, 16_384 / vocabulary)) { range, _ in
            for row in range {
                let z = logits + row * vocabulary
                let (normalizer, mean) = normalizerAndMean(z, vocabulary, inverseTemperature)
                normalizers[row] = normalizer
                logProbabilities[row] = min(0, z[targets(row)] * inverseTemperature - normalizer)
                entropies[row] = max(0, normalizer - mean)
            }
        }
    }

    /// log Σ e^z and Σ z softmax(z), for z = x · scale.
    @inline(__always)
    static func normalizerAndMean(
        _ x: UnsafePointer<Float>, _ count: Int, _ scale: Float
    ) -> (normalizer: Float, mean: Float) {
        let top = VectorMath.maximum(x, count) * scale
        var sum = Vector8.zero
        var weighted = Vector8.zero
        var i = 0
        if let loops = VectorMath.elementwise {
            i = count & ~7
            withLanes(of: &sum) { sum in
                withLanes(of: &weighted) { loops.softmax_sums(x, scale, top, i, sum, $0) }
            }
        }
        while i + 8 <= count {
            let d = load(x, i) * scale - top
            let e = exponential(d)
            sum += e
            weighted += e * d
            i += 8
        }
        if i < count {
            let d = loadTail(x, i, count) * scale - top
            let e = exponential(d)
            for j in 0..<(count - i) {
                sum[0] += e[j]
                weighted[0] += e[j] * d[j]
            }
        }
        let mass = horizontalSum(sum)
        return (top + log(mass), top + horizontalSum(weighted) / mass)
    }

    /// Replaces the logits by their gradients.
    ///
    /// With p = softmax(z) and its entropy H: dz_j = dlogp (1[j = target] − p_j) − dH p_j (log p_j + H), and
    /// dlogits = dz / temperature.
    package static func backward(
        _ team: ThreadTeam, rows: Int, vocabulary: Int, _ logits: UnsafeMutablePointer<Float>,
        inverseTemperature: Float, targets: (Int) -> Int, normalizers: UnsafePointer<Float>,
        entropies: UnsafePointer<Float>,
        logProbabilityGradient: UnsafePointer<Float>, entropyGradient: UnsafePointer<Float>?
    ) {
        team.split(rows, grain: max(1, 16_384 / vocabulary)) { range, _ in
            for row in range {
                let z = logits + row * vocabulary
                let direct = logProbabilityGradient[row] * inverseTemperature
                let spread = (entropyGradient?[row] ?? 0) * inverseTemperature
                let normalizer = normalizers[row]
                let base = direct + spread * entropies[row]
                @inline(__always)
                func gradient(_ x: Vector8) -> Vector8 {
                    let logp = x * inverseTemperature - normalizer
                    let p = exponential(logp)
                    return spread == 0 ? p * -direct : p * -(base + spread * logp)
                }
                var i = 0
                if let loops = VectorMath.elementwise {
                    i = vocabulary & ~7
                    loops.log_probability_gradients(z, inverseTemperature, normalizer, direct, base, spread, i)
                }
                while i + 8 <= vocabulary {
                    store(gradient(load(z, i)), z, i)
                    i += 8
                }
                if i < vocabulary { storeTail(gradient(loadTail(z, i, vocabulary)), z, i, vocabulary) }
                z[targets(row)] += direct
            }
        }
    }
}
