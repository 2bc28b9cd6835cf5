import Foundation
import OrderedJSON

/// LongRoPE in GGUF files: two tensors of divisors, by the length of the context, and a factor on sine and cosine.
struct GGUFLongRope {
    static let names = (short: "rope_factors_short.weight", long: "rope_factors_long.weight")

    let short: [Float]
    let long: [Float]
    /// The factor on sine and cosine; nil for the one that follows from the lengths.
    let attentionFactor: JSON?

    /// The scaling of a GGUF file; nil if it has none.
    ///
    /// - Parameters:
    ///   - keys: the keys of the file.
    ///   - vector: reads a vector of float32 by name; nil if there is none.
    /// - Throws: `ModelFormatError`
    init?(_ keys: GGUFMetadata, vector: (String) throws -> [Float]?) throws {
        guard let short = try vector(Self.names.short), let long = try vector(Self.names.long) else { return nil }
        guard let original = try keys.size(keys.own("rope.scaling.original_context_length")) else {
            throw keys.missing(keys.own("rope.scaling.original_context_length"))
        }
        self.short = short
        self.long = long
        let derived = Self.attentionFactor(
            factor: Double(try keys.required(keys.own("context_length"))) / Double(original), originalLength: original)
        let stored = try keys.number(keys.own("rope.scaling.attn_factor"))
        attentionFactor = stored.flatMap { abs($0.value - derived) <= 1e-6 * derived ? nil : $0.json }
    }

    /// The scaling of a configuration; nil if it has another one or none.
    ///
    /// - Throws: `ModelFormatError`
    init?(_ scaling: JSON?) throws {
        func divisors(_ name: String) throws -> [Float] {
            guard let numbers = scaling?[name]?.array?.compactMap(\.double), !numbers.isEmpty else {
                throw ModelFormatError.missing(
                    path: "/config", what: "rope_scaling \(name)", remedy: "a GGUF file requires it")
            }
            return numbers.map { Float($0) }
        }
        guard scaling?["long_factor"] != nil else { return nil }
        short = try divisors("short_factor")
        long = try divisors("long_factor")
        attentionFactor = scaling?["attention_factor"]
    }

    /// The scaling as Hugging Face's `rope_scaling`.
    var json: JSON {
        func list(_ values: [Float]) -> JSON { .array(values.map { .number("\($0)") }) }
        var members = JSONObject([
            ("rope_type", "longrope"), ("type", "longrope"), ("short_factor", list(short)), ("long_factor", list(long)),
        ])
        if let attentionFactor { members["attention_factor"] = attentionFactor }
        return .object(members)
    }

    /// The factor that transformers derives for a model whose context is `factor` times the original one.
    static func attentionFactor(factor: Double, originalLength: Int) -> Double {
        factor <= 1 ? 1 : (1 + log(factor) / log(Double(originalLength))).squareRoot()
    }
}
