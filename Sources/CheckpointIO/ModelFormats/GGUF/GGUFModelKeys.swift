import OrderedJSON

/// The architecture's keys of a GGUF file, made from a Hugging Face configuration.
struct GGUFModelKeys {
    var architecture: String { family.architecture }
    let vocabularySize: Int
    let headDimension: Int
    /// The divisors of llama3's RoPE scaling, `[headDimension / 2]`; empty for other types.
    private let ropeDivisors: [Float]
    /// LongRoPE's divisors, which are written as two tensors.
    let longRope: GGUFLongRope?
    private let family: GGUFFamily
    /// The number of rotated dimensions of each head.
    private let rotaryDimension: Int
    private let config: JSON
    private let ropeTheta: Double
    private let ropeScaling: JSON?
    private let layerCount: Int
    private let headCount: Int

    init(_ config: JSON, _ tensors: [TensorDescription]) throws {
        self.config = config
        family = try GGUFFamily(config)
        guard let embedding = tensors.first(where: { $0.name == TiedHead.embedding }), embedding.shape.count == 2 else {
            throw ModelFormatError.missing(path: "GGUF", what: TiedHead.embedding, remedy: "export a whole model")
        }
        vocabularySize = embedding.shape[0]
        layerCount = try Self.size(config, "num_hidden_layers")
        headCount = try Self.size(config, "num_attention_heads")
        let hidden = try Self.size(config, "hidden_size")
        headDimension = config["head_dim"]?.int ?? hidden / headCount
        guard headDimension > 0, headDimension % 2 == 0, headDimension <= 1 << 16 else {
            throw ModelFormatError.malformed(
                path: "/config", place: "head_dim", reason: "is not a positive even number up to 65536")
        }
        // transformers 5 stores both in rope_parameters.
        let rope = config["rope_parameters"]
        let base = family.modelType == "smollm3" ? 2e6 : 10_000
        ropeTheta = config["rope_theta"]?.double ?? rope?["rope_theta"]?.double ?? base
        let scaling = config["rope_scaling"] ?? rope
        longRope = try GGUFLongRope(scaling)
        let share = scaling?["partial_rotary_factor"]?.double ?? config["partial_rotary_factor"]?.double ?? 1
        rotaryDimension = max(0, min(headDimension, Int(share * Double(headDimension))))
        ropeScaling = (scaling?.isNull ?? true) || Self.kind(scaling) == "default" ? nil : scaling
        ropeDivisors =
            Self.kind(ropeScaling) == "llama3"
            ? GGUFRopeScaling.llama3Divisors(
                base: ropeTheta, headDimension: headDimension, factor: ropeScaling?["factor"]?.double ?? 8,
                low: ropeScaling?["low_freq_factor"]?.double ?? 1, high: ropeScaling?["high_freq_factor"]?.double ?? 4,
                originalLength: ropeScaling?["original_max_position_embeddings"]?.double ?? 8192) : []
    }

    /// Vectors of RoPE scaling that are written as tensors.
    var ropeVectors: [(name: String, values: [Float])] {
        if let longRope {
            return [(GGUFLongRope.names.long, longRope.long), (GGUFLongRope.names.short, longRope.short)]
        }
        return ropeDivisors.isEmpty ? [] : [("rope_freqs.weight", ropeDivisors)]
    }

    private static func kind(_ scaling: JSON?) -> String {
        scaling?["rope_type"]?.string ?? scaling?["type"]?.string ?? "default"
    }

    private static func size(_ config: JSON, _ key: String) throws -> Int {
        guard let value = config[key]?.int, value > 0, value < 1 << 31 else {
            throw ModelFormatError.missing(
                path: "/config", what: "positive integer \(key)", remedy: "a GGUF file requires it")
        }
        return value
    }

    /// The permutation of a tensor's rows; nil if their order does not change.
    func rowOrder(_ tensor: TensorDescription) throws -> HeadRowOrder? {
        guard family.interleavesHeads, tensor.name.contains(".q_proj.") || tensor.name.contains(".k_proj.") else {
            return nil
        }
        guard tensor.shape[0] % headDimension == 0 else {
            throw ModelFormatError.malformed(
                path: "GGUF", place: "tensor \(quoted(tensor.name))",
                reason: "\(tensor.shape[0]) rows are not a multiple of the head's \(headDimension)")
        }
        return HeadRowOrder(headDimension: headDimension)
    }

    func add(to header: inout GGUFHeaderWriter, name: String, _ precision: GGUFExport.Precision) throws {
        header.add("general.architecture", architecture)
        header.add("general.type", "model")
        header.add("general.name", name)
        try header.add("general.file_type", precision.fileType)
        if precision == .q80 { try header.add("general.quantization_version", 2) }
        let own = { (key: String) in architecture + "." + key }
        try header.add(own("vocab_size"), vocabularySize)
        try header.add(own("block_count"), layerCount)
        try header.add(own("context_length"), Self.size(config, "max_position_embeddings"))
        try header.add(own("embedding_length"), Self.size(config, "hidden_size"))
        try header.add(own("feed_forward_length"), Self.size(config, "intermediate_size"))
        try header.add(own("attention.head_count"), headCount)
        try header.add(own("attention.head_count_kv"), config["num_key_value_heads"]?.int ?? headCount)
        try header.add(own("attention.key_length"), headDimension)
        try header.add(own("attention.value_length"), headDimension)
        header.add(own("attention.layer_norm_rms_epsilon"), config["rms_norm_eps"]?.double ?? 1e-6)
        try header.add(own("rope.dimension_count"), rotaryDimension)
        try family.add(to: &header, config)
        header.add(own("rope.freq_base"), ropeTheta)
        try addRopeScaling(to: &header, own)
    }

    private func addRopeScaling(to header: inout GGUFHeaderWriter, _ own: (String) -> String) throws {
        if let longRope {
            let length = try Self.size(config, "max_position_embeddings")
            let original =
                config["original_max_position_embeddings"]?.int
                ?? ropeScaling?["original_max_position_embeddings"]?.int ?? length
            try header.add(own("rope.scaling.original_context_length"), original)
            let factor = ropeScaling?["factor"]?.double ?? Double(length) / Double(max(1, original))
            header.add(
                own("rope.scaling.attn_factor"),
                longRope.attentionFactor?.double
                    ?? GGUFLongRope.attentionFactor(factor: factor, originalLength: original))
            return
        }
        guard let ropeScaling else { return }
        let kind = Self.kind(ropeScaling)
        switch kind {
        // Expressed by the divisors.
        case "llama3": return
        case "linear", "yarn":
            guard let factor = ropeScaling["factor"]?.double else {
                throw ModelFormatError.missing(
                    path: "/config", what: "rope_scaling factor", remedy: "a GGUF file requires it")
            }
            header.add(own("rope.scaling.type"), kind)
            header.add(own("rope.scaling.factor"), factor)
            guard kind == "yarn" else { return }
            let length =
                try ropeScaling["original_max_position_embeddings"]?.int
                ?? Self.size(config, "max_position_embeddings")
            try header.add(own("rope.scaling.original_context_length"), length)
            for (key, name) in [("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")] {
                if let value = ropeScaling[name]?.double { header.add(own("rope.scaling.\(key)"), value) }
            }
        default:
            throw ModelFormatError.unsupported(
                path: "GGUF", what: "RoPE scaling \(quoted(kind))", remedy: "export it as a Hugging Face folder")
        }
    }
}
