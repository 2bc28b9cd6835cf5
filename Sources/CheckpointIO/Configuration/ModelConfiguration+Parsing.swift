import OrderedJSON

extension ModelConfiguration {
    /// Reads a Hugging Face config.json as the family's class in transformers does.
    ///
    /// A field that the class reads and ckpt does not implement is refused by name, unless its value switches it off;
    /// fields that the class does not read are listed in `unreadFields`.
    ///
    /// - Throws: `ConfigurationError`
    public init(json text: String) throws {
        let root: JSON
        do { root = try JSON.parse(text) } catch { throw ConfigurationError.invalidJSON(error.description) }
        try self.init(root)
    }

    /// Reads a parsed config.json.
    ///
    /// - Throws: `ConfigurationError`
    package init(_ root: JSON) throws {
        guard let members = root.object else { throw ConfigurationError.invalidJSON("it is \(root.kindName)") }
        var fields = ConfigurationFields(members)

        let type = try fields.text("model_type")
        guard let family = Family(rawValue: type) else { throw ConfigurationError.unsupportedModelType(type) }
        self.family = family
        let traits = family.traits
        fields.reader = traits.className
        var unread = try fields.unread(traits)

        vocabularySize = try fields.count("vocab_size", atMost: 1 << 24)
        hiddenSize = try fields.count("hidden_size", atMost: 1 << 16)
        intermediateSize = try fields.count("intermediate_size", atMost: 1 << 20)
        layerCount = try fields.count("num_hidden_layers", atMost: 1024)
        attentionHeadCount = try fields.count("num_attention_heads", atMost: 1024)
        if fields.isAbsent("num_key_value_heads") {
            // transformers takes null for as many as query heads, and a missing field for the class's default.
            let isMissing = members["num_key_value_heads"] == nil
            keyValueHeadCount = isMissing ? traits.keyValueHeads ?? attentionHeadCount : attentionHeadCount
        } else {
            keyValueHeadCount = try fields.count("num_key_value_heads", atMost: 1024)
        }
        guard attentionHeadCount % keyValueHeadCount == 0 else {
            throw ConfigurationError.inconsistent(
                "num_attention_heads \(attentionHeadCount) is not a multiple of"
                    + " num_key_value_heads \(keyValueHeadCount)")
        }
        if !fields.isAbsent("head_dim") {
            headDimension = try fields.count("head_dim", atMost: 1024)
        } else if let standard = traits.headDimension {
            headDimension = standard
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
        rmsNormEpsilon = try fields.positive("rms_norm_eps") ?? traits.rmsNormEpsilon
        maxPositionEmbeddings =
            fields.isAbsent("max_position_embeddings")
            ? traits.maxPositionEmbeddings : try fields.count("max_position_embeddings", atMost: 1 << 30)
        rotaryDimension = try fields.rotaryDimension(traits, headDimension: headDimension)
        let rotary = try RotaryEmbeddingFields(
            fields, traits, dimension: rotaryDimension, maxPositionEmbeddings: maxPositionEmbeddings)
        ropeTheta = rotary.theta
        ropeScaling = rotary.scaling
        unread += rotary.unread
        layerAttention = try fields.layerAttention(
            family, layers: layerCount, maxPositionEmbeddings: maxPositionEmbeddings)
        tiesWordEmbeddings = try fields.flag("tie_word_embeddings") ?? traits.tiesWordEmbeddings
        let bias = traits.fields.contains("attention_bias") ? try fields.flag("attention_bias") ?? false : false
        attentionBias = family == .qwen2 ? true : bias
        attentionOutputBias = bias
        mlpBias = traits.fields.contains("mlp_bias") ? try fields.flag("mlp_bias") ?? false : false
        qkNorm = family == .qwen3
        fusesProjections = family == .phi3
        eosTokenIDs = try fields.tokenIDs("eos_token_id")
        bosTokenID = try fields.tokenIDs("bos_token_id").first
        initializerRange = try fields.positive("initializer_range") ?? 0.02
        try fields.require("hidden_act", toBe: ["silu", "swish"])
        unreadFields = unread

        // All later sizes are products of two of these, so none of them overflows an Int.
        let perLayer = hiddenSize * (2 * queryWidth + 2 * keyValueWidth + 3 * intermediateSize)
        guard perLayer < 1 << 40 else { throw ConfigurationError.inconsistent("the layers are implausibly large") }
    }
}
