import Foundation
import OrderedJSON

/// A Hugging Face `config.json` made from the keys of a GGUF file.
struct GGUFConfiguration {
    let json: JSON
    let headDimension: Int
    let family: ModelConfiguration.Family
    /// Keys of the architecture that llama.cpp does not read.
    let unreadKeys: [String]

    /// Keys of the architecture that are read, without its name.
    private static let read: Set<String> = [
        "vocab_size", "block_count", "context_length", "embedding_length", "feed_forward_length",
        "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
        "attention.layer_norm_rms_epsilon", "attention.causal", "expert_count", "expert_used_count",
        "rope.dimension_count", "rope.freq_base", "rope.scale_linear", "rope.scaling.type", "rope.scaling.factor",
        "rope.scaling.attn_factor", "rope.scaling.original_context_length", "attention.sliding_window",
    ]

    /// Makes the configuration from keys, the list of tensors, and the divisors of rotary frequencies.
    init(
        _ keys: GGUFMetadata, tensors: [GGUFTensorInfo], rope: GGUFRopeScaling.Tensors, elementType: ElementType
    ) throws {
        let family = try ModelConfiguration.Family(keys)
        self.family = family
        func refuse(_ what: String, _ remedy: String) -> ModelFormatError {
            .unsupported(path: keys.path, what: what, remedy: remedy)
        }
        if let experts = try keys.integer(keys.own("expert_count")), experts > 0 {
            throw refuse("a mixture of experts", "ckpt reads dense models")
        }
        guard try keys.bool(keys.own("attention.causal")) ?? true else {
            throw refuse("attention in both directions", "ckpt reads causal decoders")
        }
        let names = Set(tensors.map(\.name))
        guard let embedding = tensors.first(where: { $0.name == "token_embd.weight" }), embedding.shape.count == 2
        else {
            throw ModelFormatError.missing(
                path: keys.path, what: "matrix \"token_embd.weight\"", remedy: "ckpt reads whole decoders")
        }
        let hidden = try keys.required(keys.own("embedding_length"))
        let heads = try keys.required(keys.own("attention.head_count"))
        let keyValueHeads = try keys.size(keys.own("attention.head_count_kv")) ?? heads
        let head = try keys.size(keys.own("attention.key_length")) ?? max(1, hidden / heads)
        if let values = try keys.size(keys.own("attention.value_length")), values != head {
            throw refuse("values of \(values) dimensions with keys of \(head)", "ckpt reads heads of one size")
        }
        let rotated = try keys.integer(keys.own("rope.dimension_count")) ?? head
        guard rotated == head || family == .phi3 && rotated > 0 && rotated < head && rotated % 2 == 0 else {
            throw refuse(
                "a rotation of \(rotated) of \(head) dimensions per head", "ckpt reads models that rotate whole heads")
        }
        guard head % 2 == 0, head <= 1 << 16 else {
            throw keys.malformed("attention.key_length", "a head of \(head) dimensions cannot be rotated in pairs")
        }
        for name in rope.values.keys.sorted() {
            guard [.llama, .mistral, .phi3].contains(family) else {
                throw refuse(
                    "tensor \(quoted(name)) of architecture \(quoted(family.rawValue))",
                    "llama.cpp does not read it either")
            }
            guard rope.values[name]?.count == rotated / 2 else {
                throw ModelFormatError.malformed(
                    path: keys.path, place: "tensor \(quoted(name))",
                    reason: "does not have \(rotated / 2) elements, one for each pair of dimensions")
            }
        }
        guard let epsilon = try keys.number(keys.own("attention.layer_norm_rms_epsilon")) else {
            throw keys.missing(keys.own("attention.layer_norm_rms_epsilon"))
        }
        let base = try keys.number(keys.own("rope.freq_base")) ?? (10_000, 10_000)
        guard base.value > 0 else { throw keys.malformed("rope.freq_base", "is not greater than zero") }
        let length = try keys.required(keys.own("context_length"))

        let traits = family.traits
        var config = JSONObject()
        config["architectures"] = .array([.string(traits.className)])
        config["model_type"] = .string(family.rawValue)
        config["vocab_size"] = .integer(embedding.shape[0])
        config["hidden_size"] = .integer(hidden)
        config["intermediate_size"] = .integer(try keys.required(keys.own("feed_forward_length")))
        config["num_hidden_layers"] = .integer(try keys.required(keys.own("block_count"), maximum: 100_000))
        config["num_attention_heads"] = .integer(heads)
        config["num_key_value_heads"] = .integer(keyValueHeads)
        config["head_dim"] = .integer(head)
        config["hidden_act"] = "silu"
        config["max_position_embeddings"] = .integer(length)
        config["rms_norm_eps"] = epsilon.json
        config["rope_theta"] = base.json
        config["rope_scaling"] = try GGUFRopeScaling.json(
            keys, rope, base: base.value, headDimension: rotated, contextLength: length)
        if family == .phi3 {
            // The class in transformers reads these beside the rotary parameters.
            config["original_max_position_embeddings"] = .integer(
                try keys.size(keys.own("rope.scaling.original_context_length")) ?? length)
            if rotated != head { config["partial_rotary_factor"] = .double(Double(rotated) / Double(head)) }
        }
        if [.mistral, .phi3].contains(family) {
            let window = try keys.integer(keys.own("attention.sliding_window")) ?? 0
            config["sliding_window"] = window > 0 ? .integer(window) : .null
        }
        // Only fields that the family's class reads; qwen2 always has biases, for example.
        if traits.fields.contains("attention_bias") {
            config["attention_bias"] = .bool(names.contains("blk.0.attn_q.bias"))
        }
        if traits.fields.contains("mlp_bias") { config["mlp_bias"] = .bool(names.contains("blk.0.ffn_gate.bias")) }
        if traits.fields.contains("use_sliding_window") { config["use_sliding_window"] = false }
        config["attention_dropout"] = 0
        config["initializer_range"] = .number("0.02")
        config["tie_word_embeddings"] = .bool(!names.contains("output.weight"))
        config["use_cache"] = true
        config["bos_token_id"] = try keys.integer("tokenizer.ggml.bos_token_id").map(JSON.integer) ?? .null
        config["eos_token_id"] = try Self.endTokens(keys)
        // Some classes have a default that a small vocabulary does not reach.
        config["pad_token_id"] = try keys.integer("tokenizer.ggml.padding_token_id").map(JSON.integer) ?? .null
        config["torch_dtype"] = .string(elementType.rawValue)
        config["dtype"] = .string(elementType.rawValue)
        json = .object(config)
        headDimension = head
        let prefix = keys.own("")
        unreadKeys = keys.values.keys.filter {
            $0.hasPrefix(prefix) && !Self.read.contains(String($0.dropFirst(prefix.count)))
        }
        .sorted()
    }

    /// The tokens that end a text: one number, or a list if there are several.
    static func endTokens(_ keys: GGUFMetadata) throws -> JSON {
        var ids: [Int] = []
        for name in ["eos", "eot", "eom"] {
            if let id = try keys.integer("tokenizer.ggml.\(name)_token_id"), !ids.contains(id) { ids.append(id) }
        }
        return ids.count > 1 ? .array(ids.map(JSON.integer)) : ids.first.map(JSON.integer) ?? .null
    }

    /// `generation_config.json`: the tokens that start, end and pad a text.
    static func generation(_ keys: GGUFMetadata) throws -> JSON {
        var members = JSONObject()
        if let id = try keys.integer("tokenizer.ggml.bos_token_id") { members["bos_token_id"] = .integer(id) }
        let ends = try endTokens(keys)
        if !ends.isNull { members["eos_token_id"] = ends }
        if let id = try keys.integer("tokenizer.ggml.padding_token_id") { members["pad_token_id"] = .integer(id) }
        return .object(members)
    }
}
