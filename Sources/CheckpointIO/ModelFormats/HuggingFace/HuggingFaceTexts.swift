import OrderedJSON

/// The text files of an exported model, in a form that both transformers 4 and 5 read.
///
/// The checkpoint's texts are changed only if one of the two versions would misread them, or if the model has changed.
struct HuggingFaceTexts {
    private(set) var files: [(name: String, bytes: [UInt8])] = []

    /// Makes the files of a model; `name` is the title of its card, and `base` the model of an adapter exported alone.
    init(
        _ metadata: CheckpointMetadata, _ tensors: [TensorDescription], name: String, base: String? = nil
    ) throws {
        let config = try Self.object(metadata.config, "config")
        let exported = Self.configuration(config, metadata, tensors)
        add("config.json", exported)
        if let text = metadata.generationConfig {
            add("generation_config.json", try Self.object(text, "generation_config"))
        } else {
            var generation = JSONObject([("_from_model_config", true)])
            for key in ["bos_token_id", "eos_token_id", "pad_token_id"] {
                if let value = config[key], !value.isNull { generation[key] = value }
            }
            add("generation_config.json", .object(generation))
        }
        if let tokenizer = metadata.tokenizer {
            files.append(("tokenizer.json", tokenizer.json))
            add("tokenizer_config.json", try Self.tokenizerConfiguration(tokenizer, metadata.chatTemplate))
        }
        if let template = metadata.chatTemplate { files.append(("chat_template.jinja", Array(template.utf8))) }
        files.append(("README.md", Array(ModelCard(metadata, name: name, base: base).text.utf8)))
    }

    private mutating func add(_ name: String, _ json: JSON) {
        files.append((name, Array((json.serialized(indent: 2) + "\n").utf8)))
    }

    private static func object(_ text: String, _ place: String) throws -> JSON {
        try TextFile.object(Array(text.utf8), path: "/\(place)")
    }

    private static func configuration(
        _ config: JSON, _ metadata: CheckpointMetadata, _ tensors: [TensorDescription]
    ) -> JSON {
        var config = config
        if config["architectures"]?.array?.first?.string == nil, let type = config["model_type"]?.string,
            let family = ModelConfiguration.Family(rawValue: type)
        {
            config["architectures"] = .array([.string(family.traits.className)])
        }
        config["tie_word_embeddings"] = .bool(metadata.tiedTensors[TiedHead.head] != nil)
        let type = commonType(tensors)
        // transformers 4 reads the old name, transformers 5 both.
        config["torch_dtype"] = .string(type.rawValue)
        config["dtype"] = .string(type.rawValue)
        return unifiedRotaryFields(config)
    }

    /// The rotary parameters for both versions: transformers 4 does not read `rope_parameters`, and 5 reads the older
    /// fields first.
    private static func unifiedRotaryFields(_ config: JSON) -> JSON {
        var config = config
        let fields = ConfigurationFields(config.object ?? JSONObject())
        guard let found = try? RotaryEmbeddingFields.object(fields) else { return config }
        var parameters = found.members
        if parameters["rope_theta"] == nil, let theta = config["rope_theta"] { parameters["rope_theta"] = theta }
        var scaling = parameters
        scaling["rope_theta"] = nil
        let type = scaling["rope_type"] ?? scaling["type"] ?? "default"
        // transformers 4 takes LongRoPE's length beside the object alone; Phi-3 has a default there in both versions.
        let length = "original_max_position_embeddings"
        let isPhi3 = config["model_type"] == "phi3"
        if !isPhi3, scaling["short_factor"] != nil, fields.isAbsent(length), let inner = scaling[length] {
            config[length] = inner
        }
        if isPhi3 {
            if let share = parameters["partial_rotary_factor"] { config["partial_rotary_factor"] = share }
            scaling = phi3Scaling(scaling, type, config)
        } else if config["rope_parameters"]?.object == nil {
            return config
        }
        if let theta = parameters["rope_theta"] { config["rope_theta"] = theta }
        config["rope_scaling"] = type == "default" ? .null : .object(scaling)
        if config["rope_parameters"]?.object != nil { config["rope_parameters"] = .object(parameters) }
        return config
    }

    /// Phi-3's scaling: the class in transformers 4 takes exactly these three members.
    ///
    /// A factor on sine and cosine other than the usual one is kept for transformers 5.
    private static func phi3Scaling(_ given: JSONObject, _ type: JSON, _ config: JSON) -> JSONObject {
        var scaling = JSONObject([("type", type)])
        for name in ["short_factor", "long_factor"] { scaling[name] = given[name] }
        guard let parsed = try? ModelConfiguration(config),
            case .longrope(_, _, let magnitude, let length) = parsed.ropeScaling
        else { return scaling }
        let usual = RotaryScaling.longropeMagnitude(
            Double(parsed.maxPositionEmbeddings) / Double(length), originalLength: length)
        if abs(magnitude - usual) > 1e-6 * usual {
            for name in ["factor", "attention_factor"] { scaling[name] = given[name] }
        }
        return scaling
    }

    /// The most frequent element type.
    static func commonType(_ tensors: [TensorDescription]) -> ElementType {
        var counts: [ElementType: Int] = [:]
        for tensor in tensors { counts[tensor.elementType, default: 0] += tensor.elementCount }
        return counts.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key ?? .float32
    }

    private static func tokenizerConfiguration(_ tokenizer: TokenizerRecord, _ template: String?) throws -> JSON {
        var config = try tokenizer.config.map { try object($0, "tokenizer/config") } ?? .object(JSONObject())
        // Other classes rebuild the tokenizer by their own rules when they load it, transformers 5 all of it.
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        try ExportedTokenizerMembers.adjust(&config, to: try TextFile.object(tokenizer.json, path: "/tokenizer/json"))
        // A list in transformers 5; transformers 4 reads a list only under the older name, which version 5 reads too.
        if let tokens = config["extra_special_tokens"]?.array {
            config["extra_special_tokens"] = nil
            if !tokens.isEmpty { config["additional_special_tokens"] = .array(tokens) }
        }
        if config["added_tokens_decoder"] != nil {
            config["added_tokens_decoder"] = try addedTokensDecoder(tokenizer)
        }
        config["chat_template"] = template.map(JSON.string)
        return config
    }

    /// The table of added tokens for transformers 4, made from `tokenizer.json`.
    private static func addedTokensDecoder(_ tokenizer: TokenizerRecord) throws -> JSON {
        var table = JSONObject()
        for entry in try TextFile.object(tokenizer.json, path: "/tokenizer/json")["added_tokens"]?.array ?? [] {
            guard let id = entry["id"]?.int, var members = entry.object else { continue }
            members["id"] = nil
            table[String(id)] = .object(members)
        }
        return .object(table)
    }
}
