import OrderedJSON

/// What a layer's attention sees, where layers of a model differ.
public struct LayerAttention: Sendable, Equatable {
    /// The number of latest tokens that a token attends to, itself included; nil for all.
    public var window: Int?
    /// Whether queries and keys are rotated by their positions.
    public var rotates = true
}

extension ModelConfiguration.Family {
    /// Fields that only these families read.
    var ownFields: Set<String> {
        switch self {
        case .llama: []
        case .mistral: ["sliding_window"]
        case .phi3:
            // Dropout does not affect the forward pass.
            [
                "sliding_window", "partial_rotary_factor", "original_max_position_embeddings", "embd_pdrop",
                "resid_pdrop",
            ]
        case .qwen2, .qwen3: ["sliding_window", "use_sliding_window", "max_window_layers", "layer_types"]
        case .smollm3:
            [
                "sliding_window", "use_sliding_window", "layer_types", "no_rope_layers", "no_rope_layer_interval",
                "attention_bias", "mlp_bias", "max_window_layers",
            ]
        }
    }

    /// The number of key heads without `num_key_value_heads`; nil if it is that of query heads.
    var defaultKeyValueHeads: Int? {
        switch self {
        case .mistral: 8
        case .smollm3: 4
        case .llama, .phi3, .qwen2, .qwen3: nil
        }
    }

    /// The value of an absent `max_position_embeddings`.
    var defaultLength: Int {
        switch self {
        case .llama: 2048
        case .mistral: 131_072
        case .phi3: 4096
        case .qwen2, .qwen3, .smollm3: 32768
        }
    }
}

extension ConfigurationFields {
    /// The window and rotation of each layer, as the family's class in transformers derives them.
    ///
    /// - Throws: `ConfigurationError`
    func layerAttention(_ family: ModelConfiguration.Family, layers: Int) throws -> [LayerAttention] {
        switch family {
        case .llama: return [LayerAttention](repeating: LayerAttention(), count: layers)
        case .mistral, .phi3:
            let window = try window(ifAbsent: family == .mistral ? 4096 : nil)
            return [LayerAttention](repeating: LayerAttention(window: window), count: layers)
        case .qwen2, .qwen3:
            let window = try flag("use_sliding_window") ?? false ? try window(ifAbsent: 4096) : nil
            let first = try wholeNumber("max_window_layers") ?? 28
            let slides = try slidingLayers(layers) ?? (0..<layers).map { window != nil && $0 >= first }
            return try slides.map { LayerAttention(window: $0 ? try required(window) : nil) }
        case .smollm3:
            let window = try window(ifAbsent: nil)
            let rotates = try rotatedLayers(layers)
            let usesWindow = try flag("use_sliding_window") ?? false && window != nil
            let slides = try slidingLayers(layers) ?? rotates.map { usesWindow && !$0 }
            return try zip(slides, rotates).map { slides, rotates in
                LayerAttention(window: slides ? try required(window) : nil, rotates: rotates)
            }
        }
    }

    /// The number of rotated dimensions of each head.
    ///
    /// - Throws: `ConfigurationError`
    func rotaryDimension(_ family: ModelConfiguration.Family, headDimension: Int) throws -> Int {
        guard family == .phi3 else { return headDimension }
        let parameters = (members["rope_scaling"]?.object ?? members["rope_parameters"]?.object)
            .map(ConfigurationFields.init)
        let name = "partial_rotary_factor"
        let share = try parameters?.positive(name) ?? positive(name) ?? 1
        let dimension = share <= 1 ? Int(Double(headDimension) * share) : 0
        guard dimension > 0, dimension % 2 == 0 else {
            throw ConfigurationError.outOfRange(
                field: name, value: "\(share)",
                allowed: "a share of head_dim \(headDimension) that is a positive even number of dimensions")
        }
        return dimension
    }

    private func window(ifAbsent standard: Int?) throws -> Int? {
        guard let value = members["sliding_window"] else { return standard }
        return value.isNull ? nil : try count("sliding_window", atMost: 1 << 30)
    }

    private func required(_ window: Int?) throws -> Int {
        guard let window else {
            throw ConfigurationError.inconsistent("layer_types has sliding_attention, but there is no sliding_window")
        }
        return window
    }

    private func wholeNumber(_ name: String) throws -> Int? {
        guard let value = members[name], !value.isNull else { return nil }
        guard let number = value.int, number >= 0 else {
            throw ConfigurationError.wrongKind(field: name, expected: "a whole number", found: value.kindName)
        }
        return number
    }

    /// Which layers have a window according to `layer_types`; nil without that field.
    private func slidingLayers(_ layers: Int) throws -> [Bool]? {
        guard let value = members["layer_types"], !value.isNull else { return nil }
        guard let types = value.array, types.count == layers else {
            throw ConfigurationError.inconsistent("layer_types does not list the type of each of \(layers) layers")
        }
        return try types.map { type in
            switch type.string {
            case "full_attention": false
            case "sliding_attention": true
            default: throw ConfigurationError.unsupportedField("layer_types", value: type.serialized())
            }
        }
    }

    private func rotatedLayers(_ layers: Int) throws -> [Bool] {
        guard let value = members["no_rope_layers"], !value.isNull else {
            let interval = isAbsent("no_rope_layer_interval") ? 4 : try count("no_rope_layer_interval", atMost: 1 << 20)
            return (1...layers).map { $0 % interval != 0 }
        }
        guard let flags = value.array?.prefix(layers), flags.count == layers, flags.allSatisfy({ $0 == 0 || $0 == 1 })
        else {
            throw ConfigurationError.inconsistent("no_rope_layers does not list a 0 or 1 for each of \(layers) layers")
        }
        return flags.map { $0 == 1 }
    }

    /// LongRoPE; nil for other kinds of scaling.
    ///
    /// - Parameters:
    ///   - fields: the members of `rope_parameters` or `rope_scaling`.
    ///   - place: which of the two, for errors.
    ///   - family: Phi-3 also calls the scaling `su` or `yarn`, and has the original length beside it.
    ///   - dimension: rotated dimensions of each head.
    ///   - maxPositionEmbeddings: the length that the scaling extends the model to.
    /// - Returns: the scaling.
    /// - Throws: `ConfigurationError`
    func longRotaryScaling(
        _ fields: ConfigurationFields, in place: String, _ family: ModelConfiguration.Family, dimension: Int,
        maxPositionEmbeddings: Int
    ) throws -> RotaryScaling? {
        let name = fields.isAbsent("rope_type") ? "type" : "rope_type"
        let type = fields.isAbsent(name) ? "default" : try fields.text(name)
        guard type == "longrope" || family == .phi3 && ["su", "yarn"].contains(type) else {
            if type == "default" || family != .phi3 { return nil }
            throw ConfigurationError.unsupportedField(place + "." + name, value: "\"\(type)\"")
        }
        let known: Set = [
            "rope_type", "type", "rope_theta", "factor", "partial_rotary_factor", "attention_factor", "short_factor",
            "long_factor", "original_max_position_embeddings",
        ]
        for (field, value) in fields.members where !known.contains(field) {
            throw ConfigurationError.unsupportedField(place + "." + field, value: value.serialized())
        }
        func divisors(_ name: String) throws -> [Double] {
            let numbers = fields.members[name]?.array?.compactMap(\.double) ?? []
            guard numbers.count == dimension / 2, numbers.allSatisfy({ $0 > 0 && $0.isFinite }) else {
                throw ConfigurationError.inconsistent(
                    "\(place).\(name) is not a list of \(dimension / 2) positive numbers, one for each pair of"
                        + " rotated dimensions")
            }
            return numbers
        }
        let length = "original_max_position_embeddings"
        let original =
            family == .phi3
            ? isAbsent(length) ? 4096 : try count(length, atMost: 1 << 30)
            : fields.isAbsent(length) ? maxPositionEmbeddings : try fields.count(length, atMost: 1 << 30)
        guard original > 1 else {
            throw ConfigurationError.inconsistent("\(length) is 1, which LongRoPE cannot extend")
        }
        let factor = try fields.positive("factor") ?? Double(maxPositionEmbeddings) / Double(original)
        return .longrope(
            short: try divisors("short_factor"), long: try divisors("long_factor"),
            attentionFactor: try fields.positive("attention_factor")
                ?? RotaryScaling.longropeAttentionFactor(factor: factor, originalLength: original),
            originalLength: original)
    }
}
