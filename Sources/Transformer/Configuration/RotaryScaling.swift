import Foundation
import OrderedJSON

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
    /// `short` applies to sequences of up to `originalLength` tokens, `long` to all positions of longer ones.
    case longrope(short: [Double], long: [Double], attentionFactor: Double, originalLength: Int)

    init(
        _ fields: ConfigurationFields, in place: String, _ family: ModelConfiguration.Family,
        _ maxPositionEmbeddings: Int
    ) throws {
        let type =
            try (fields.isAbsent("rope_type") ? nil : fields.text("rope_type"))
            ?? (fields.isAbsent("type") ? "default" : fields.text("type"))
        func factor(_ name: String) throws -> Double {
            guard let value = try fields.positive(name) else {
                throw ConfigurationError.missing(field: place + "." + name)
            }
            return value
        }
        func originalLength() throws -> Int {
            let name = "original_max_position_embeddings"
            return fields.isAbsent(name) ? maxPositionEmbeddings : try fields.count(name, atMost: 1 << 30)
        }
        var known: Set<String> = ["rope_type", "type", "rope_theta", "factor", "partial_rotary_factor"]
        if let value = fields.members["partial_rotary_factor"], !value.isNull, value.double != 1, family != .phi3 {
            throw ConfigurationError.unsupportedField(place + ".partial_rotary_factor", value: value.serialized())
        }
        switch type {
        case "default": self = .none
        case "linear": self = .linear(factor: try factor("factor"))
        case "dynamic":
            known.insert("original_max_position_embeddings")
            self = .dynamic(factor: try factor("factor"))
        case "llama3":
            known.formUnion(["low_freq_factor", "high_freq_factor", "original_max_position_embeddings"])
            let low = try factor("low_freq_factor")
            let high = try factor("high_freq_factor")
            guard high > low else {
                throw ConfigurationError.inconsistent("\(place).high_freq_factor must be above low_freq_factor")
            }
            self = .llama3(
                factor: try factor("factor"), lowFrequencyFactor: low, highFrequencyFactor: high,
                originalLength: try originalLength())
        case "yarn":
            known.formUnion([
                "attention_factor", "mscale", "mscale_all_dim", "beta_fast", "beta_slow", "truncate",
                "original_max_position_embeddings",
            ])
            let original = try originalLength()
            let scale = try fields.positive("factor") ?? Double(maxPositionEmbeddings) / Double(original)
            func magnitude(_ weight: Double) -> Double { scale <= 1 ? 1 : 0.1 * weight * log(scale) + 1 }
            var attention = magnitude(1)
            if let own = try fields.positive("attention_factor") {
                attention = own
            } else if let top = try fields.positive("mscale"), let bottom = try fields.positive("mscale_all_dim") {
                attention = magnitude(top) / magnitude(bottom)
            }
            self = .yarn(
                factor: scale, attentionFactor: attention, betaFast: try fields.positive("beta_fast") ?? 32,
                betaSlow: try fields.positive("beta_slow") ?? 1, originalLength: original,
                truncates: try fields.flag("truncate") ?? true)
        default: throw ConfigurationError.unsupportedField(place + ".rope_type", value: "\"\(type)\"")
        }
        for (name, value) in fields.members where !known.contains(name) {
            throw ConfigurationError.unsupportedField(place + "." + name, value: value.serialized())
        }
    }

    /// The factor on sine and cosine for texts that are longer by `factor` (LongRoPE, Ding et al., 2024).
    static func longropeAttentionFactor(factor: Double, originalLength: Int) -> Double {
        factor <= 1 ? 1 : (1 + log(factor) / log(Double(originalLength))).squareRoot()
    }

    /// The angles in radians per position `[dimension / 2]`, and the factor on sine and cosine.
    func frequencies(
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
