import Foundation
import OrderedJSON

/// A Hugging Face `config.json` made from the keys of a GGUF file.
struct GGUFConfiguration {
    let json: JSON
    let headDimension: Int
    let family: GGUFFamily

    /// Makes the configuration from keys, the list of tensors, and the values of `rope_freqs.weight` or the divisors of
    /// LongRoPE if they exist.
    init(
        _ keys: GGUFMetadata, tensors: [GGUFTensorInfo], ropeFrequencies: [Float]?, longRope: GGUFLongRope?,
        elementType: ElementType
    ) throws {
        family = try GGUFFamily(keys)
        if let experts = try keys.integer(keys.own("expert_count")), experts > 0 {
            throw ModelFormatError.unsupported(
                path: keys.path, what: "a mixture of experts", remedy: "ckpt reads dense models")
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
        let rotated = try keys.integer(keys.own("rope.dimension_count")) ?? head
        guard rotated == head || family.modelType == "phi3" && rotated > 0 && rotated < head && rotated % 2 == 0 else {
            throw ModelFormatError.unsupported(
                path: keys.path, what: "a rotation of \(rotated) of \(head) dimensions per head",
                remedy: "ckpt reads models that rotate whole heads")
        }
        guard head % 2 == 0, head <= 1 << 16 else {
            throw ModelFormatError.malformed(
                path: keys.path, place: "key \(quoted(keys.own("attention.key_length")))",
                reason: "a head of \(head) dimensions cannot be rotated in pairs")
        }
        guard let epsilon = try keys.number(keys.own("attention.layer_norm_rms_epsilon")) else {
            throw keys.missing(keys.own("attention.layer_norm_rms_epsilon"))
        }

        let base = try keys.number(keys.own("rope.freq_base")) ?? (10_000, 10_000)

        var config = JSONObject()
        config["architectures"] = .array([.string(family.className)])
        config["model_type"] = .string(family.modelType)
        config["vocab_size"] = .integer(embedding.shape[0])
        config["hidden_size"] = .integer(hidden)
        config["intermediate_size"] = .integer(try keys.required(keys.own("feed_forward_length")))
        config["num_hidden_layers"] = .integer(try keys.required(keys.own("block_count"), maximum: 100_000))
        config["num_attention_heads"] = .integer(heads)
        config["num_key_value_heads"] = .integer(keyValueHeads)
        config["head_dim"] = .integer(head)
        config["hidden_act"] = "silu"
        config["max_position_embeddings"] = .integer(try keys.required(keys.own("context_length")))
        config["rms_norm_eps"] = epsilon.json
        config["rope_theta"] = base.json
        config["rope_scaling"] =
            try longRope?.json
            ?? GGUFRopeScaling.json(keys, frequencies: ropeFrequencies, base: base.value, headDimension: head)
        if rotated != head { config["partial_rotary_factor"] = .double(Double(rotated) / Double(head)) }
        if longRope != nil {
            config["original_max_position_embeddings"] = .integer(
                try keys.required(keys.own("rope.scaling.original_context_length")))
        }
        try family.add(to: &config, keys)
        if !["mistral", "phi3"].contains(family.modelType) {
            config["attention_bias"] = .bool(names.contains("blk.0.attn_q.bias"))
            config["mlp_bias"] = .bool(names.contains("blk.0.ffn_gate.bias"))
        }
        config["attention_dropout"] = 0
        config["initializer_range"] = .number("0.02")
        config["tie_word_embeddings"] = .bool(!names.contains("output.weight"))
        config["use_cache"] = true
        if family.architecture.hasPrefix("qwen") { config["use_sliding_window"] = false }
        config["bos_token_id"] = try keys.integer("tokenizer.ggml.bos_token_id").map(JSON.integer) ?? .null
        config["eos_token_id"] = try Self.endTokens(keys)
        config["torch_dtype"] = .string(elementType.rawValue)
        config["dtype"] = .string(elementType.rawValue)
        json = .object(config)
        headDimension = head
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
