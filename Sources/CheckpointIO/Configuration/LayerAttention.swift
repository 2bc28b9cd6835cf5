import OrderedJSON

/// What a layer's attention sees, where layers of a model differ.
public struct LayerAttention: Sendable, Equatable {
    /// The number of latest tokens that a token attends to, itself included; nil for all.
    public var window: Int?
    /// Whether queries and keys are rotated by their positions.
    public var rotates = true
}

extension ConfigurationFields {
    /// The window and rotation of each layer, as the family's class in transformers derives them.
    ///
    /// - Throws: `ConfigurationError`
    func layerAttention(
        _ family: ModelConfiguration.Family, layers: Int, maxPositionEmbeddings: Int
    ) throws -> [LayerAttention] {
        switch family {
        case .llama:
            // The class has no window, but a window in its configuration shortens transformers' cache.
            if try slidingLayers(layers)?.contains(true) == true { throw unsupported("layer_types") }
            if members["layer_types"]?.array == nil, let window = try window(ifAbsent: nil),
                window < maxPositionEmbeddings
            {
                throw unsupported("sliding_window")
            }
            return [LayerAttention](repeating: LayerAttention(), count: layers)
        case .mistral, .phi3:
            let window = try window(ifAbsent: family == .mistral ? 4096 : nil)
            return [LayerAttention](repeating: LayerAttention(window: window), count: layers)
        case .qwen2, .qwen3:
            let window = try flag("use_sliding_window") ?? false ? try window(ifAbsent: 4096) : nil
            let first =
                isAbsent("max_window_layers") ? 28 : try number("max_window_layers", atLeast: 0, atMost: 1 << 20)
            let slides = try slidingLayers(layers) ?? (0..<layers).map { window != nil && $0 >= first }
            return try slides.map { LayerAttention(window: $0 ? try required(window) : nil) }
        case .smollm3:
            let rotates = try rotatedLayers(layers)
            let given = try slidingLayers(layers)
            // A window that no layer uses may have any value.
            let usesWindow = try given?.contains(true) ?? flag("use_sliding_window") ?? false
            let window = usesWindow ? try window(ifAbsent: nil) : nil
            let slides = given ?? rotates.map { window != nil && !$0 }
            return try zip(slides, rotates).map { slides, rotates in
                LayerAttention(window: slides ? try required(window) : nil, rotates: rotates)
            }
        }
    }

    /// The number of rotated dimensions of each head.
    ///
    /// - Throws: `ConfigurationError`
    func rotaryDimension(_ traits: FamilyTraits, headDimension: Int) throws -> Int {
        guard traits.rotatesPart else { return headDimension }
        let name = "partial_rotary_factor"
        let parameters = try RotaryEmbeddingFields.object(self).map { ConfigurationFields($0.members) }
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
            default: throw unsupported("layer_types")
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
}
