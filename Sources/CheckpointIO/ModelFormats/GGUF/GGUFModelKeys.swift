import OrderedJSON

/// The architecture's keys of a GGUF file, made from a model's configuration.
struct GGUFModelKeys {
    let configuration: ModelConfiguration
    /// The rows of the embedding.
    let vocabularySize: Int
    /// The divisors of rotary frequencies, which are written as tensors.
    let ropeTensors: [(name: String, divisors: [Float])]
    private let ropeKeys: [(name: String, value: GGUFRopeScaling.ScalingValue)]

    var architecture: String { configuration.family.ggufArchitecture }

    init(_ config: JSON, _ tensors: [TensorDescription]) throws {
        configuration = try ModelConfiguration(config)
        try configuration.checkGGUF()
        guard let embedding = tensors.first(where: { $0.name == TiedHead.embedding }), embedding.shape.count == 2 else {
            throw ModelFormatError.missing(path: "GGUF", what: TiedHead.embedding, remedy: "export a whole model")
        }
        guard configuration.family == .llama || !configuration.attentionOutputBias else {
            throw ModelFormatError.unsupported(
                path: "GGUF", what: "a bias of o_proj with model_type \(configuration.family.rawValue)",
                remedy: "llama.cpp does not load it; export it as a Hugging Face folder")
        }
        vocabularySize = embedding.shape[0]
        (ropeKeys, ropeTensors) = try GGUFRopeScaling.export(configuration)
    }

    /// The permutation of a tensor's rows; nil if their order does not change.
    func rowOrder(_ tensor: TensorDescription) throws -> HeadRowOrder? {
        guard configuration.family.interleavesHeads,
            tensor.name.contains(".q_proj.") || tensor.name.contains(".k_proj.")
        else { return nil }
        guard tensor.shape[0] % configuration.headDimension == 0 else {
            throw ModelFormatError.malformed(
                path: "GGUF", place: "tensor \(quoted(tensor.name))",
                reason: "\(tensor.shape[0]) rows are not a multiple of the head's \(configuration.headDimension)")
        }
        return HeadRowOrder(headDimension: configuration.headDimension)
    }

    func add(to header: inout GGUFHeaderWriter, name: String, _ precision: GGUFExport.Precision) throws {
        header.add("general.architecture", architecture)
        header.add("general.type", "model")
        header.add("general.name", name)
        try header.add("general.file_type", precision.fileType)
        if precision == .q80 { try header.add("general.quantization_version", 2) }
        let own = { (key: String) in architecture + "." + key }
        try header.add(own("vocab_size"), vocabularySize)
        try header.add(own("block_count"), configuration.layerCount)
        try header.add(own("context_length"), configuration.maxPositionEmbeddings)
        try header.add(own("embedding_length"), configuration.hiddenSize)
        try header.add(own("feed_forward_length"), configuration.intermediateSize)
        try header.add(own("attention.head_count"), configuration.attentionHeadCount)
        try header.add(own("attention.head_count_kv"), configuration.keyValueHeadCount)
        try header.add(own("attention.key_length"), configuration.headDimension)
        try header.add(own("attention.value_length"), configuration.headDimension)
        header.add(own("attention.layer_norm_rms_epsilon"), configuration.rmsNormEpsilon)
        try header.add(own("rope.dimension_count"), configuration.rotaryDimension)
        if let window = configuration.ggufWindow { try header.add(own("attention.sliding_window"), window) }
        header.add(own("rope.freq_base"), configuration.ropeTheta)
        for (name, value) in ropeKeys {
            let key = own("rope.scaling." + name)
            switch value {
            case .text(let text): header.add(key, text)
            case .number(let number): header.add(key, number)
            case .count(let count): try header.add(key, count)
            }
        }
    }
}
