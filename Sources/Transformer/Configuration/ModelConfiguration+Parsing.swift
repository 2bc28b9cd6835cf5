import OrderedJSON

extension ModelConfiguration {
    /// Reads a Hugging Face config.json.
    ///
    /// Unknown fields are refused by name, because they could change the result; fields known not to affect the
    /// computation are ignored.
    ///
    /// - Throws: `ConfigurationError`
    public init(json text: String) throws {
        let root: JSON
        do { root = try JSON.parse(text) } catch { throw ConfigurationError.invalidJSON(error.description) }
        guard let members = root.object else { throw ConfigurationError.invalidJSON("it is \(root.kindName)") }
        let fields = ConfigurationFields(members)

        let type = try fields.text("model_type")
        guard let family = Family(rawValue: type) else { throw ConfigurationError.unsupportedModelType(type) }
        self.family = family
        try fields.refuseUnknown(family)

        vocabularySize = try fields.count("vocab_size", atMost: 1 << 24)
        hiddenSize = try fields.count("hidden_size", atMost: 1 << 16)
        intermediateSize = try fields.count("intermediate_size", atMost: 1 << 20)
        layerCount = try fields.count("num_hidden_layers", atMost: 1024)
        attentionHeadCount = try fields.count("num_attention_heads", atMost: 1024)
        keyValueHeadCount =
            fields.isAbsent("num_key_value_heads")
            ? fields.members["num_key_value_heads"] == nil
                ? family.defaultKeyValueHeads ?? attentionHeadCount
                : attentionHeadCount
            : try fields.count("num_key_value_heads", atMost: 1024)
        guard attentionHeadCount % keyValueHeadCount == 0 else {
            throw ConfigurationError.inconsistent(
                "num_attention_heads \(attentionHeadCount) is not a multiple of"
                    + " num_key_value_heads \(keyValueHeadCount)")
        }
        if !fields.isAbsent("head_dim") {
            headDimension = try fields.count("head_dim", atMost: 1024)
        } else if family == .qwen3 {
            headDimension = 128
        } else {
            guard hiddenSize % attentionHeadCount == 0 else {
                throw ConfigurationError.inconsistent(
                    "hidden_size \(hiddenSize) is not a multiple of num_attention_heads \(attentionHeadCount)"
                        + " and there is no head_dim")
            }
            headDimension = hiddenSize / attentionHeadCount
        }
        guard headDimension % 2 == 0 else {
            throw ConfigurationError.outOfRange(field: "head_dim", value: "\(headDimension)", allowed: "even")
        }
        rmsNormEpsilon = try fields.positive("rms_norm_eps") ?? (family == .phi3 ? 1e-5 : 1e-6)
        maxPositionEmbeddings =
            fields.isAbsent("max_position_embeddings")
            ? family.defaultLength : try fields.count("max_position_embeddings", atMost: 1 << 30)
        rotaryDimension = try fields.rotaryDimension(family, headDimension: headDimension)
        (ropeTheta, ropeScaling) = try fields.rotary(
            family, dimension: rotaryDimension, maxPositionEmbeddings: maxPositionEmbeddings)
        layerAttention = try fields.layerAttention(family, layers: layerCount)
        tiesWordEmbeddings = try fields.flag("tie_word_embeddings") ?? (family == .smollm3)
        let bias = try fields.flag("attention_bias") ?? false
        attentionBias = family == .qwen2 ? true : bias
        attentionOutputBias = family == .qwen2 ? false : bias
        mlpBias = try fields.flag("mlp_bias") ?? false
        qkNorm = family == .qwen3
        fusesProjections = family == .phi3
        eosTokenIDs = try fields.tokenIDs("eos_token_id")
        bosTokenID = try fields.tokenIDs("bos_token_id").first
        initializerRange = try fields.positive("initializer_range") ?? 0.02
        try fields.require("hidden_act", toBe: "silu")

        // All later sizes are products of two of these, so none of them overflows an Int.
        let perLayer = hiddenSize * (2 * queryWidth + 2 * keyValueWidth + 3 * intermediateSize)
        guard perLayer < 1 << 40 else { throw ConfigurationError.inconsistent("the layers are implausibly large") }
    }
}

/// Typed access to the fields of a config.json.
struct ConfigurationFields {
    let members: JSONObject

    init(_ members: JSONObject) { self.members = members }

    /// Fields that `ModelConfiguration.init` reads.
    private static let understood: Set<String> = [
        "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "rms_norm_eps", "max_position_embeddings", "rope_theta", "rope_scaling",
        "rope_parameters", "tie_word_embeddings", "eos_token_id", "bos_token_id", "initializer_range", "hidden_act",
    ]

    /// Fields that do not affect the forward pass: provenance, training settings, and options of the Python classes.
    private static let immaterial: Set<String> = [
        "_name_or_path", "_attn_implementation_autoset", "architectures", "attention_dropout", "auto_map",
        "chunk_size_feed_forward", "dtype", "finetuning_task", "id2label", "is_llama_config", "label2id",
        "output_attentions", "output_hidden_states", "pad_token_id", "prefix", "problem_type", "return_dict",
        "task_specific_params", "tokenizer_class", "torch_dtype", "torchscript", "transformers.js_config",
        "transformers_version", "unsloth_fixed", "unsloth_version", "use_cache",
    ]

    /// Fields that are accepted only with these values, which leave the computation unchanged.
    private static let neutral: [String: [JSON]] = [
        "add_cross_attention": [false], "cross_attention_hidden_size": [.null], "is_decoder": [false, true],
        "is_encoder_decoder": [false], "partial_rotary_factor": [.number("1.0"), .number("1"), .null],
        "pretraining_tp": [.number("1"), .null], "pruned_heads": [.object(JSONObject())],
        "quantization_config": [.null],
        "rope_interleaved": [false], "sliding_window_pattern": [.null], "tie_encoder_decoder": [false],
        "use_bfloat16": [false], "use_mrope": [false], "use_sliding_window": [false],
    ]

    func refuseUnknown(_ family: ModelConfiguration.Family) throws {
        for (name, value) in members {
            if Self.understood.contains(name) || Self.immaterial.contains(name) { continue }
            if family.ownFields.contains(name) { continue }
            if let allowed = Self.neutral[name] {
                if allowed.contains(value) { continue }
                throw ConfigurationError.unsupportedField(name, value: value.serialized())
            }
            switch (name, family) {
            case ("attention_bias", .llama), ("attention_bias", .qwen3), ("mlp_bias", .llama): continue
            case ("layer_types", _) where value.array?.allSatisfy { $0 == .string("full_attention") } ?? value.isNull:
                continue
            case ("sliding_window", _) where value.isNull: continue
            default:
                let text = value.serialized()
                throw ConfigurationError.unsupportedField(name, value: text.count > 60 ? value.kindName : text)
            }
        }
    }

    func isAbsent(_ name: String) -> Bool { members[name]?.isNull ?? true }

    func text(_ name: String) throws -> String {
        guard let value = members[name] else { throw ConfigurationError.missing(field: name) }
        guard let text = value.string else {
            throw ConfigurationError.wrongKind(field: name, expected: "a string", found: value.kindName)
        }
        return text
    }

    func count(_ name: String, atMost limit: Int) throws -> Int {
        guard let value = members[name] else { throw ConfigurationError.missing(field: name) }
        guard case .number(let literal) = value else {
            throw ConfigurationError.wrongKind(field: name, expected: "a whole number", found: value.kindName)
        }
        guard let count = value.int, (1...limit).contains(count) else {
            throw ConfigurationError.outOfRange(
                field: name, value: literal, allowed: "a whole number from 1 to \(limit)")
        }
        return count
    }

    func positive(_ name: String) throws -> Double? {
        guard let value = members[name], !value.isNull else { return nil }
        guard let number = value.double else {
            throw ConfigurationError.wrongKind(field: name, expected: "a number", found: value.kindName)
        }
        guard number > 0, number.isFinite else {
            throw ConfigurationError.outOfRange(field: name, value: value.serialized(), allowed: "greater than zero")
        }
        return number
    }

    func flag(_ name: String) throws -> Bool? {
        guard let value = members[name], !value.isNull else { return nil }
        guard let flag = value.bool else {
            throw ConfigurationError.wrongKind(field: name, expected: "a boolean", found: value.kindName)
        }
        return flag
    }

    func tokenIDs(_ name: String) throws -> [Int] {
        guard let value = members[name], !value.isNull else { return [] }
        let values = value.array ?? [value]
        return try values.map {
            guard let id = $0.int, id >= 0 else {
                throw ConfigurationError.wrongKind(
                    field: name, expected: "a token id or a list of them", found: $0.kindName)
            }
            return id
        }
    }

    func require(_ name: String, toBe expected: String) throws {
        guard let value = members[name], !value.isNull else { return }
        guard value.string == expected else {
            throw ConfigurationError.unsupportedField(name, value: value.serialized())
        }
    }

    /// The rotary base and scaling, from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling`.
    ///
    /// - Throws: `ConfigurationError`
    func rotary(
        _ family: ModelConfiguration.Family, dimension: Int, maxPositionEmbeddings: Int
    ) throws -> (theta: Double, scaling: RotaryScaling) {
        let theta = try positive("rope_theta")
        let plain = family == .smollm3 ? 2e6 : 10000
        for name in ["rope_parameters", "rope_scaling"] {
            guard let value = members[name], !value.isNull else { continue }
            guard let object = value.object else {
                throw ConfigurationError.wrongKind(field: name, expected: "an object", found: value.kindName)
            }
            let scaling =
                try longRotaryScaling(
                    ConfigurationFields(object), in: name, family, dimension: dimension,
                    maxPositionEmbeddings: maxPositionEmbeddings)
                ?? RotaryScaling(ConfigurationFields(object), in: name, family, maxPositionEmbeddings)
            return (try ConfigurationFields(object).positive("rope_theta") ?? theta ?? plain, scaling)
        }
        return (theta ?? plain, .none)
    }
}
