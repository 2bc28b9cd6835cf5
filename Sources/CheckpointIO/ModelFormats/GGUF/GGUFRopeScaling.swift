import Foundation
import OrderedJSON

/// Rotary scaling in GGUF files, as llama.cpp computes it.
///
/// The angle of a pair is divided by its factor in `rope_freqs.weight` (or, by context length, `rope_factors_short` and
/// `rope_factors_long`) and by `rope.scaling.factor`. Sine and cosine are multiplied by `rope.scaling.attn_factor`,
/// with yarn also by 1 + 0.1 ln(factor). The keys `yarn_beta_fast`, `yarn_beta_slow`, `yarn_ext_factor`,
/// `yarn_attn_factor` and `yarn_log_multiplier` are not read for these architectures.
enum GGUFRopeScaling {
    /// The tensors with divisors of the frequencies.
    struct Tensors {
        static let common = "rope_freqs.weight"
        static let short = "rope_factors_short.weight"
        static let long = "rope_factors_long.weight"
        static let names = [common, short, long]

        /// `[headDimension / 2]` each.
        var values: [String: [Double]] = [:]
    }

    /// Hugging Face's `rope_scaling` for the keys of a file; null without scaling.
    static func json(
        _ keys: GGUFMetadata, _ tensors: Tensors, base: Double, headDimension: Int, contextLength: Int
    ) throws -> JSON {
        let type = try keys.string(keys.own("rope.scaling.type")) ?? "linear"
        guard ["none", "linear", "yarn", "longrope"].contains(type) else {
            throw ModelFormatError.unsupported(
                path: keys.path, what: "RoPE scaling \(quoted(type))",
                remedy: "ckpt reads none, linear, yarn, longrope and rope_freqs.weight")
        }
        // The second key is that of older files; zero stands for no scaling.
        let given = try keys.number(keys.own("rope.scaling.factor")) ?? keys.number(keys.own("rope.scale_linear"))
        let isScaled = type != "none" && given.map { $0.value != 0 } ?? false
        let factor = isScaled ? given : nil
        guard factor?.value ?? 1 > 0 else {
            throw keys.malformed("rope.scaling.factor", "is not greater than zero")
        }
        let attention = try keys.number(keys.own("rope.scaling.attn_factor"))?.value ?? 1
        guard attention > 0 else { throw keys.malformed("rope.scaling.attn_factor", "is not greater than zero") }
        let original = try keys.size(keys.own("rope.scaling.original_context_length")) ?? contextLength

        let short = tensors.values[Tensors.short]
        let long = tensors.values[Tensors.long]
        // llama.cpp chooses between the two without looking at the type, which its own files of Phi-3 leave out.
        if type == "longrope" || keys.architecture == "phi3", let short, let long {
            return longrope(short, long, attention, original, dividedBy: factor?.value ?? 1)
        }
        guard short == nil, long == nil else {
            throw ModelFormatError.unsupported(
                path: keys.path, what: "\(Tensors.short) or \(Tensors.long) alone, or without RoPE scaling longrope",
                remedy: "import the model's Hugging Face folder")
        }
        if let divisors = tensors.values[Tensors.common] {
            guard type != "yarn" else {
                throw ModelFormatError.unsupported(
                    path: keys.path, what: "RoPE scaling yarn together with \(Tensors.common)",
                    remedy: "import the model's Hugging Face folder")
            }
            if attention == 1, factor?.value ?? 1 == 1,
                let llama3 = llama3(divisors, base: base, headDimension: headDimension, lengths: [original])
            {
                return llama3
            }
            return longrope(divisors, divisors, attention, contextLength, dividedBy: factor?.value ?? 1)
        }
        guard type == "yarn" else {
            if attention != 1 {
                let plain = [Double](repeating: 1, count: headDimension / 2)
                return longrope(plain, plain, attention, contextLength, dividedBy: factor?.value ?? 1)
            }
            guard let factor, factor.value != 1 else { return .null }
            return .object(JSONObject([("rope_type", "linear"), ("factor", factor.json)]))
        }
        var scaling = JSONObject([
            ("rope_type", "yarn"), ("factor", factor?.json ?? 1),
            ("original_max_position_embeddings", .integer(original)),
        ])
        if attention != 1 {
            scaling["attention_factor"] = .double(attention * RotaryScaling.yarnMagnitude(factor?.value ?? 1))
        }
        return .object(scaling)
    }

    /// Any divisors as `longrope`, which gives each frequency its own.
    private static func longrope(
        _ short: [Double], _ long: [Double], _ attention: Double, _ original: Int, dividedBy factor: Double
    ) -> JSON {
        func list(_ divisors: [Double]) -> JSON { .array(divisors.map { .double($0 * factor) }) }
        return .object(
            JSONObject([
                ("rope_type", "longrope"), ("short_factor", list(short)), ("long_factor", list(long)),
                ("attention_factor", .double(attention)), ("original_max_position_embeddings", .integer(original)),
            ]))
    }

    /// The parameters of llama3 scaling, recovered from its divisors; nil if they are others.
    ///
    /// Every published model with this scaling uses the same bounds, and the factor is the largest divisor.
    private static func llama3(_ divisors: [Double], base: Double, headDimension: Int, lengths: [Int]) -> JSON? {
        let factor = divisors.max() ?? 0
        guard factor >= 1 else { return nil }
        for length in [8192] + lengths {
            let scaling = RotaryScaling.llama3(
                factor: factor, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalLength: length)
            let expected = Self.divisors(scaling, theta: base, dimension: headDimension)
            guard zip(divisors, expected).allSatisfy({ abs($0 - $1) <= 1e-4 * $1 }) else { continue }
            return .object(
                JSONObject([
                    ("rope_type", "llama3"), ("factor", .double(factor)), ("low_freq_factor", 1),
                    ("high_freq_factor", 4), ("original_max_position_embeddings", .integer(length)),
                ]))
        }
        return nil
    }

    /// What a scaling divides each frequency by, `[dimension / 2]`.
    private static func divisors(_ scaling: RotaryScaling, theta: Double, dimension: Int) -> [Double] {
        func frequencies(_ scaling: RotaryScaling) -> [Double] {
            scaling.frequencies(theta: theta, dimension: dimension, maxPositionEmbeddings: 1, sequenceLength: 1).inverse
        }
        return zip(frequencies(.none), frequencies(scaling)).map { $0 / $1 }
    }

    /// The keys and tensors that express a model's scaling, in llama.cpp's order.
    ///
    /// - Throws: `ModelFormatError.unsupported` for what llama.cpp does not compute.
    static func export(
        _ configuration: ModelConfiguration
    ) throws -> (keys: [(name: String, value: ScalingValue)], tensors: [(name: String, divisors: [Float])]) {
        func refused(_ what: String) -> ModelFormatError {
            .unsupported(path: "GGUF", what: what, remedy: "export it as a Hugging Face folder")
        }
        func tensors(_ named: [(String, [Double])]) throws -> [(name: String, divisors: [Float])] {
            guard [.llama, .mistral, .phi3].contains(configuration.family) else {
                throw refused(
                    "RoPE scaling by a divisor for each frequency with model_type \(configuration.family.rawValue)")
            }
            return named.map { ($0.0, $0.1.map { Float($0) }) }
        }
        switch configuration.ropeScaling {
        case .none: return ([], [])
        case .linear(let factor): return ([("type", .text("linear")), ("factor", .number(factor))], [])
        case .dynamic: throw refused("RoPE scaling dynamic")
        case .llama3:
            let divisors = divisors(
                configuration.ropeScaling, theta: configuration.ropeTheta, dimension: configuration.rotaryDimension)
            return ([], try tensors([(Tensors.common, divisors)]))
        case .longrope(let short, let long, let attention, let original):
            var keys: [(String, ScalingValue)] = []
            if attention != 1 { keys.append(("attn_factor", .number(attention))) }
            if short == long, configuration.family != .phi3 { return (keys, try tensors([(Tensors.common, short)])) }
            keys += [("type", .text("longrope")), ("original_context_length", .count(original))]
            return (keys, try tensors([(Tensors.long, long), (Tensors.short, short)]))
        case .yarn(let factor, let attention, let fast, let slow, let original, let truncates):
            guard fast == 32, slow == 1, truncates else {
                throw refused("RoPE scaling yarn with beta_fast, beta_slow or truncate other than 32, 1 and true")
            }
            var keys: [(String, ScalingValue)] = [
                ("type", .text("yarn")), ("factor", .number(factor)), ("original_context_length", .count(original)),
            ]
            let own = attention / RotaryScaling.yarnMagnitude(factor)
            if abs(own - 1) > 1e-9 { keys.append(("attn_factor", .number(own))) }
            return (keys, [])
        }
    }

    /// A value of a key below `rope.scaling`.
    enum ScalingValue {
        case text(String)
        case number(Double)
        case count(Int)
    }
}
