import Foundation
import OrderedJSON

/// The rotary base and scaling of a config.json: the one reading for the engine and for every file format.
///
/// As in transformers 5, `rope_scaling` comes before `rope_parameters`, and `rope_theta` in the object before the one
/// beside it. Both spellings `rope_type` and `type` are read.
struct RotaryEmbeddingFields {
    let theta: Double
    let scaling: RotaryScaling
    /// Fields that transformers does not read, in full (`rope_scaling.finetuned`).
    private(set) var unread: [String] = []

    /// The object with the parameters, and the field that holds it; nil without one.
    static func object(_ fields: ConfigurationFields) throws -> (place: String, members: JSONObject)? {
        for place in ["rope_scaling", "rope_parameters"] {
            guard let value = fields.members[place], !value.isNull else { continue }
            guard let members = value.object else {
                throw ConfigurationError.wrongKind(field: place, expected: "an object", found: value.kindName)
            }
            if !members.isEmpty { return (place, members) }
        }
        return nil
    }

    /// Reads the fields of a family; `dimension` is the number of rotated dimensions of a head.
    init(
        _ fields: ConfigurationFields, _ traits: FamilyTraits, dimension: Int, maxPositionEmbeddings: Int
    ) throws {
        let outerTheta = try fields.positive("rope_theta")
        let found = try Self.object(fields)
        var inner = ConfigurationFields(found?.members ?? JSONObject())
        inner.reader = fields.reader
        let place = found?.place ?? "rope_parameters"
        let innerTheta = try inner.positive("rope_theta")
        theta = innerTheta ?? outerTheta ?? traits.ropeTheta
        if let innerTheta, let outerTheta, innerTheta != outerTheta { unread.append("rope_theta") }

        let parsed = try Self.scaling(
            inner, place, traits, dimension: dimension, maxPositionEmbeddings: maxPositionEmbeddings,
            originalLength: fields.isAbsent("original_max_position_embeddings")
                ? traits.originalLength : fields.count("original_max_position_embeddings", atMost: 1 << 30))
        scaling = parsed.scaling
        let isPlain = scaling == .none
        for (name, value) in inner.members where !parsed.read.contains(name) && !value.isNull {
            // Parameters for one type of layer, such as full_attention.
            if name.hasSuffix("_attention"), value.object != nil { throw inner.unsupported(name, in: place) }
            unread.append(place + "." + name)
        }
        for (source, prefix) in [(inner, place + "."), (fields, "")] {
            let name = "partial_rotary_factor"
            guard !traits.rotatesPart, let value = source.members[name], !value.isNull, value.double != 1 else {
                continue
            }
            // Without scaling these classes rotate whole heads; with it, transformers fails.
            guard isPlain else { throw source.unsupported(name, in: prefix.isEmpty ? nil : place) }
            unread.append(prefix + name)
        }
        if place == "rope_scaling", let other = fields.members["rope_parameters"]?.object, !other.isEmpty {
            var without = fields.members
            without["rope_scaling"] = nil
            let second = try? Self(
                ConfigurationFields(without), traits, dimension: dimension,
                maxPositionEmbeddings: maxPositionEmbeddings)
            if second?.theta != theta || second?.scaling != scaling { unread.append("rope_parameters") }
        }
    }

    /// The scaling that an object describes, and the names of the members that its type reads.
    private static func scaling(
        _ fields: ConfigurationFields, _ place: String, _ traits: FamilyTraits, dimension: Int,
        maxPositionEmbeddings: Int, originalLength outerLength: Int?
    ) throws -> (scaling: RotaryScaling, read: Set<String>) {
        let name = fields.isAbsent("rope_type") ? "type" : "rope_type"
        let given = fields.isAbsent(name) ? "default" : try fields.text(name)
        let general: Set<String> = ["rope_type", "type", "rope_theta", "partial_rotary_factor"]
        func factor(_ name: String) throws -> Double {
            guard let value = try fields.positive(name) else {
                throw ConfigurationError.missing(field: place + "." + name)
            }
            return value
        }
        /// Zero counts as absent.
        func nonzero(_ name: String, or standard: Double) throws -> Double {
            fields.members[name]?.double == 0 ? standard : try fields.positive(name) ?? standard
        }
        func original() throws -> Int {
            let name = "original_max_position_embeddings"
            return try outerLength
                ?? (fields.isAbsent(name) ? maxPositionEmbeddings : fields.count(name, atMost: 1 << 30))
        }
        func divisors(_ name: String) throws -> [Double] {
            let list = fields.members[name]?.array ?? []
            let numbers = list.compactMap(\.double)
            guard numbers.count == dimension / 2, list.count == numbers.count,
                numbers.allSatisfy({ $0 > 0 && $0.isFinite })
            else {
                throw ConfigurationError.inconsistent(
                    "\(place).\(name) is not a list of \(dimension / 2) positive numbers, one for each pair of"
                        + " rotated dimensions")
            }
            return numbers
        }
        switch traits.ropeTypes[given] ?? given {
        case "default": return (.none, general)
        case "linear": return (.linear(factor: try factor("factor")), general.union(["factor"]))
        case "dynamic": return (.dynamic(factor: try factor("factor")), general.union(["factor"]))
        case "llama3":
            let low = try factor("low_freq_factor")
            let high = try factor("high_freq_factor")
            guard high > low else {
                throw ConfigurationError.inconsistent("\(place).high_freq_factor must be above low_freq_factor")
            }
            let scaling = RotaryScaling.llama3(
                factor: try factor("factor"), lowFrequencyFactor: low, highFrequencyFactor: high,
                originalLength: try original())
            let own: Set = ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"]
            return (scaling, general.union(own))
        case "yarn":
            let length = try original()
            let scale = try fields.positive("factor") ?? Double(maxPositionEmbeddings) / Double(length)
            var attention = RotaryScaling.yarnMagnitude(scale)
            if let own = try fields.positive("attention_factor") {
                attention = own
            } else {
                let top = try nonzero("mscale", or: 0)
                let bottom = try nonzero("mscale_all_dim", or: 0)
                if top > 0, bottom > 0 {
                    attention =
                        RotaryScaling.yarnMagnitude(scale, weight: top)
                        / RotaryScaling.yarnMagnitude(scale, weight: bottom)
                }
            }
            let scaling = RotaryScaling.yarn(
                factor: scale, attentionFactor: attention, betaFast: try nonzero("beta_fast", or: 32),
                betaSlow: try nonzero("beta_slow", or: 1), originalLength: length,
                truncates: try fields.flag("truncate") ?? true)
            let own: Set = [
                "factor", "attention_factor", "mscale", "mscale_all_dim", "beta_fast", "beta_slow", "truncate",
                "original_max_position_embeddings",
            ]
            return (scaling, general.union(own))
        case "longrope":
            let length = try original()
            guard length > 1 else {
                throw ConfigurationError.inconsistent("\(place) stretches an original length of one position")
            }
            let ratio = try fields.positive("factor") ?? Double(maxPositionEmbeddings) / Double(length)
            let scaling = RotaryScaling.longrope(
                short: try divisors("short_factor"), long: try divisors("long_factor"),
                attentionFactor: try fields.positive("attention_factor")
                    ?? RotaryScaling.longropeMagnitude(ratio, originalLength: length),
                originalLength: length)
            let own: Set = [
                "factor", "attention_factor", "short_factor", "long_factor", "original_max_position_embeddings",
            ]
            return (scaling, general.union(own))
        default: throw fields.unsupported(name, in: place)
        }
    }
}
