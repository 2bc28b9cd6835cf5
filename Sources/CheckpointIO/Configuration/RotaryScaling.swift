import Foundation

/// The change of rotary frequencies that extends a model beyond the context length it was first trained with.
public enum RotaryScaling: Sendable, Equatable {
    case none
    /// All positions divided by `factor`.
    case linear(factor: Double)
    /// NTK-aware: the base grows with the sequence length beyond `max_position_embeddings`.
    case dynamic(factor: Double)
    /// Llama 3.1: low frequencies divided by `factor`, high ones unchanged, a linear transition between them.
    case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalLength: Int)
    /// YaRN: a linear transition over the dimensions from unchanged to divided frequencies, and a factor on sine and
    /// cosine.
    case yarn(
        factor: Double, attentionFactor: Double, betaFast: Double, betaSlow: Double, originalLength: Int,
        truncates: Bool)
    /// LongRoPE: a divisor for every frequency, by the length of the sequence, and a factor on sine and cosine.
    ///
    /// `short` holds for sequences of up to `originalLength` tokens, `long` for all positions of longer ones.
    case longrope(short: [Double], long: [Double], attentionFactor: Double, originalLength: Int)

    /// YaRN's factor on sine and cosine (Peng et al., 2023).
    static func yarnMagnitude(_ factor: Double, weight: Double = 1) -> Double {
        factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1
    }

    /// LongRoPE's factor on sine and cosine (Ding et al., 2024).
    static func longropeMagnitude(_ factor: Double, originalLength: Int) -> Double {
        factor <= 1 ? 1 : (1 + log(factor) / log(Double(originalLength))).squareRoot()
    }

    /// The sequence length that decides the frequencies of a sequence; nil where they do not depend on it.
    package func decidingLength(_ length: Int, _ maxPositionEmbeddings: Int) -> Int? {
        switch self {
        case .dynamic: length > maxPositionEmbeddings ? length : nil
        case .longrope(_, _, _, let originalLength): length > originalLength ? originalLength + 1 : nil
        case .none, .linear, .llama3, .yarn: nil
        }
    }

    /// The angles in radians per position `[dimension / 2]`, and the factor on sine and cosine.
    package func frequencies(
        theta: Double, dimension: Int, maxPositionEmbeddings: Int, sequenceLength: Int
    ) -> (inverse: [Double], magnitude: Double) {
        let half = dimension / 2
        func plain(_ base: Double) -> [Double] {
            (0..<half).map { 1 / pow(base, Double(2 * $0) / Double(dimension)) }
        }
        switch self {
        case .none: return (plain(theta), 1)
        case .linear(let factor): return (plain(theta).map { $0 / factor }, 1)
        case .dynamic(let factor):
            guard sequenceLength > maxPositionEmbeddings, dimension > 2 else { return (plain(theta), 1) }
            let reach = factor * Double(sequenceLength) / Double(maxPositionEmbeddings) - (factor - 1)
            return (plain(theta * pow(reach, Double(dimension) / Double(dimension - 2))), 1)
        case .llama3(let factor, let low, let high, let originalLength):
            let length = Double(originalLength)
            return (
                plain(theta).map { frequency in
                    let wavelength = 2 * Double.pi / frequency
                    if wavelength > length / low { return frequency / factor }
                    if wavelength < length / high { return frequency }
                    let smooth = (length / wavelength - low) / (high - low)
                    return (1 - smooth) * frequency / factor + smooth * frequency
                }, 1
            )
        case .yarn(let factor, let attentionFactor, let betaFast, let betaSlow, let originalLength, let truncates):
            func dimensionOf(rotations: Double) -> Double {
                Double(dimension) * log(Double(originalLength) / (rotations * 2 * .pi)) / (2 * log(theta))
            }
            var low = dimensionOf(rotations: betaFast)
            var high = dimensionOf(rotations: betaSlow)
            if truncates {
                low.round(.down)
                high.round(.up)
            }
            low = max(low, 0)
            high = min(high, Double(dimension - 1))
            if low == high { high += 0.001 }
            let inverse = plain(theta).enumerated().map { index, frequency in
                let ramp = min(1, max(0, (Double(index) - low) / (high - low)))
                return frequency / factor * ramp + frequency * (1 - ramp)
            }
            return (inverse, attentionFactor)
        case .longrope(let short, let long, let attentionFactor, let originalLength):
            let divisors = sequenceLength > originalLength ? long : short
            return (zip(plain(theta), divisors).map { $0 / $1 }, attentionFactor)
        }
    }
}
