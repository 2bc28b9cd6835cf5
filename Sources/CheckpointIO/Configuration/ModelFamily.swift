import OrderedJSON

extension ModelConfiguration {
    /// Model families, named as `model_type` in config.json.
    public enum Family: String, Sendable, CaseIterable { case llama, mistral, phi3, qwen2, qwen3, smollm3 }
}

/// What transformers' class of a family reads from config.json, and what absent fields mean.
///
/// A field that is in none of these sets cannot change what the model computes: it is kept for export and reported
/// once. `scripts/research/config-fields.py` derives the sets from the sources of transformers and compares them with
/// this file. A new family needs a case of `ModelConfiguration.Family`, its traits, and a pass in the engine.
struct FamilyTraits {
    /// The class in transformers, which is also the entry of `architectures`.
    var className: String
    /// Fields that are implemented for this family, beside `common`.
    var fields: Set<String>
    /// The number of key-value heads without `num_key_value_heads`; nil for that of query heads.
    var keyValueHeads: Int?
    /// The dimensions of a head without `head_dim`; nil for `hidden_size` divided by the number of heads.
    var headDimension: Int?
    var maxPositionEmbeddings: Int
    var rmsNormEpsilon = 1e-6
    var ropeTheta = 10_000.0
    /// Other names of types of rotary scaling.
    var ropeTypes: [String: String] = [:]
    /// The length without `original_max_position_embeddings` beside the rotary parameters; nil where that in them
    /// counts.
    var originalLength: Int?
    /// Whether the class rotates only the share `partial_rotary_factor` of each head.
    var rotatesPart = false
    var tiesWordEmbeddings = false

    /// Fields that are implemented for every family.
    static let common: Set<String> = [
        "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "rms_norm_eps", "max_position_embeddings", "rope_theta", "rope_scaling",
        "rope_parameters", "original_max_position_embeddings", "partial_rotary_factor", "tie_word_embeddings",
        "eos_token_id", "bos_token_id", "initializer_range", "hidden_act", "sliding_window", "layer_types",
    ]

    /// Fields that transformers reads but not to compute logits: file formats, kernels, training, shape of the output.
    static let bookkeeping: Set<String> = [
        "_attn_implementation", "architectures", "attention_dropout", "attn_implementation", "auto_map", "dtype",
        "experts_implementation", "id2label", "label2id", "num_labels", "output_attentions", "output_hidden_states",
        "pad_token_id", "pretraining_tp", "problem_type", "resid_pdrop", "return_dict", "torch_dtype",
        "transformers_version", "use_cache",
    ]

    /// Fields that shared code of transformers reads for every family and ckpt does not implement, with the values that
    /// switch them off.
    static let switchedOff: [String: [JSON]] = [
        "attention_chunk_size": [.null], "is_causal": [true, .null], "is_encoder_decoder": [false, .null],
        "kv_sharing_modes": [.null], "num_kv_shared_layers": [.null, 0],
        "per_layer_config": [.null, .object(JSONObject())], "quantization_config": [.null],
    ]
}

extension ModelConfiguration.Family {
    /// The names of all families, for messages.
    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }

    var traits: FamilyTraits {
        switch self {
        case .llama:
            FamilyTraits(
                className: "LlamaForCausalLM", fields: ["attention_bias", "mlp_bias"], maxPositionEmbeddings: 2048)
        case .mistral:
            FamilyTraits(
                className: "MistralForCausalLM", fields: [], keyValueHeads: 8, maxPositionEmbeddings: 131_072)
        case .phi3:
            FamilyTraits(
                className: "Phi3ForCausalLM", fields: [], maxPositionEmbeddings: 4096, rmsNormEpsilon: 1e-5,
                ropeTypes: ["su": "longrope", "yarn": "longrope"], originalLength: 4096, rotatesPart: true)
        case .qwen2:
            FamilyTraits(
                className: "Qwen2ForCausalLM", fields: ["use_sliding_window", "max_window_layers"], keyValueHeads: 32,
                maxPositionEmbeddings: 32768)
        case .qwen3:
            FamilyTraits(
                className: "Qwen3ForCausalLM", fields: ["attention_bias", "use_sliding_window", "max_window_layers"],
                keyValueHeads: 32, headDimension: 128, maxPositionEmbeddings: 32768)
        case .smollm3:
            FamilyTraits(
                className: "SmolLM3ForCausalLM",
                fields: [
                    "attention_bias", "mlp_bias", "use_sliding_window", "no_rope_layers", "no_rope_layer_interval",
                ], keyValueHeads: 4, maxPositionEmbeddings: 32768, ropeTheta: 2_000_000, tiesWordEmbeddings: true)
        }
    }
}
