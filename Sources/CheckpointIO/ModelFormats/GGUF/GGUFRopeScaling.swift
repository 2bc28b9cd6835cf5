import Foundation
import OrderedJSON

/// RoPE scaling in GGUF files.
enum GGUFRopeScaling {
    /// Hugging Face's `rope_scaling`; null if there is no scaling.
    static func json(
        _ keys: GGUFMetadata, frequencies: [Float]?, base: Double, headDimension: Int
    ) throws -> JSON {
        if let frequencies {
            return try llama3(frequencies, base: base, headDimension: headDimension, path: keys.path)
        }
        let type = try keys.string(keys.own("rope.scaling.type"))
        // The key of older files, when linear scaling was the only type.
        let linear = try keys.number(keys.own("rope.scale_linear"))
        switch type {
        case nil where linear == nil, "none": return .null
        case nil, "linear", "yarn":
            guard let factor = try keys.number(keys.own("rope.scaling.factor")) ?? linear else {
                throw keys.missing(keys.own("rope.scaling.factor"))
            }
            var scaling = JSONObject([("rope_type", .string(type ?? "linear")), ("factor", factor.json)])
            if type == "yarn" {
                if let length = try keys.size(keys.own("rope.scaling.original_context_length")) {
                    scaling["original_max_position_embeddings"] = .integer(length)
                }
                for (key, name) in [("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")] {
                    if let value = try keys.number(keys.own("rope.scaling.\(key)")) { scaling[name] = value.json }
                }
            }
            return .object(scaling)
        default:
            throw ModelFormatError.unsupported(
                path: keys.path, what: "RoPE scaling \(quoted(type ?? ""))",
                remedy: "ckpt reads linear, yarn and llama3")
        }
    }

    /// The parameters of llama3 scaling, recovered from the divisors of the frequencies in a GGUF file.
    ///
    /// Every model with this scaling uses the same bounds, and the factor is the largest divisor. Divisors that these
    /// parameters do not reproduce are refused.
    private static func llama3(
        _ divisors: [Float], base: Double, headDimension: Int, path: String
    ) throws -> JSON {
        let factor = Double(divisors.max() ?? 0)
        let expected = llama3Divisors(
            base: base, headDimension: headDimension, factor: factor, low: 1, high: 4, originalLength: 8192)
        guard factor.isFinite, factor >= 1, divisors.count == expected.count,
            zip(divisors, expected).allSatisfy({ abs($0 - $1) <= 1e-4 * $1 })
        else {
            throw ModelFormatError.unsupported(
                path: path, what: "tensor \"rope_freqs.weight\" with divisors other than llama3's",
                remedy: "import the model's Hugging Face folder")
        }
        return .object(
            JSONObject([
                ("rope_type", "llama3"), ("factor", .double(factor)), ("low_freq_factor", 1),
                ("high_freq_factor", 4), ("original_max_position_embeddings", 8192),
            ]))
    }

    /// The divisors of llama3 scaling, `[headDimension / 2]`.
    static func llama3Divisors(
        base: Double, headDimension: Int, factor: Double, low: Double, high: Double, originalLength: Double
    ) -> [Float] {
        (0..<headDimension / 2).map { index in
            // Wavelength of this pair of dimensions in tokens.
            let wavelength = 2 * Double.pi * pow(base, Double(2 * index) / Double(headDimension))
            if wavelength < originalLength / high { return 1 }
            if wavelength > originalLength / low { return Float(factor) }
            let smooth = (originalLength / wavelength - low) / (high - low)
            return Float(1 / ((1 - smooth) / factor + smooth))
        }
    }
}
