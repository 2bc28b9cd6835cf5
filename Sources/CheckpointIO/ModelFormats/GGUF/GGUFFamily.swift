import OrderedJSON

/// A family of models under llama.cpp's and transformers' names.
struct GGUFFamily: Sendable {
    let architecture: String
    let modelType: String
    let className: String
    /// Whether llama.cpp rotates neighbouring elements of a head (`HeadRowOrder`).
    var interleavesHeads = false
    /// Whether gate and up are one tensor, which llama.cpp calls `ffn_up`.
    var fusesProjections = false

    /// Mistral shares llama.cpp's architecture with Llama, and differs by its window.
    static let all = [
        GGUFFamily(
            architecture: "llama", modelType: "llama", className: "LlamaForCausalLM", interleavesHeads: true),
        GGUFFamily(
            architecture: "llama", modelType: "mistral", className: "MistralForCausalLM", interleavesHeads: true),
        GGUFFamily(architecture: "qwen2", modelType: "qwen2", className: "Qwen2ForCausalLM"),
        GGUFFamily(architecture: "qwen3", modelType: "qwen3", className: "Qwen3ForCausalLM"),
        GGUFFamily(
            architecture: "smollm3", modelType: "smollm3", className: "SmolLM3ForCausalLM", interleavesHeads: true),
        GGUFFamily(architecture: "phi3", modelType: "phi3", className: "Phi3ForCausalLM", fusesProjections: true),
    ]

    /// The supported architectures, for error messages.
    static var architectures: String {
        var names: [String] = []
        for family in all where names.last != family.architecture { names.append(family.architecture) }
        return names.joined(separator: ", ")
    }

    /// The family of a GGUF file.
    ///
    /// - Throws: `ModelFormatError`
    init(_ keys: GGUFMetadata) throws {
        let window = try keys.integer(keys.own("attention.sliding_window")) ?? 0
        let family = Self.all.first {
            $0.architecture == keys.architecture
                && ($0.architecture != "llama" || ($0.modelType == "mistral") == (window > 0))
        }
        guard let family else {
            throw ModelFormatError.unsupported(
                path: keys.path, what: "architecture \(quoted(keys.architecture))",
                remedy: "ckpt reads \(Self.architectures)")
        }
        self = family
    }

    private init(
        architecture: String, modelType: String, className: String, interleavesHeads: Bool = false,
        fusesProjections: Bool = false
    ) {
        self.architecture = architecture
        self.modelType = modelType
        self.className = className
        self.interleavesHeads = interleavesHeads
        self.fusesProjections = fusesProjections
    }

    /// The family of a configuration.
    ///
    /// - Throws: `ModelFormatError` if llama.cpp cannot compute the model.
    init(_ config: JSON) throws {
        let type = config["model_type"]?.string ?? ""
        guard let family = Self.all.first(where: { $0.modelType == type }) else {
            throw ModelFormatError.unsupported(
                path: "GGUF", what: "model_type \(quoted(type))", remedy: "export it as a Hugging Face folder")
        }
        self = family
        func refuse(_ what: String) -> ModelFormatError {
            .unsupported(path: "GGUF", what: what, remedy: "export it as a Hugging Face folder")
        }
        let types = config["layer_types"]?.array ?? []
        let slides =
            types.contains("sliding_attention") || types.isEmpty && config["use_sliding_window"]?.bool == true
        if slides, ["qwen2", "qwen3", "smollm3"].contains(type) {
            throw refuse("a sliding window of \(type), which llama.cpp does not apply,")
        }
        if type == "smollm3" {
            let layers = config["num_hidden_layers"]?.int ?? 0
            let rotates = config["no_rope_layers"]?.array?.prefix(layers).map { $0 == 1 }
            let interval = config["no_rope_layer_interval"]?.int ?? 4
            guard rotates.map({ $0 == (1...max(1, layers)).map { $0 % 4 != 0 } }) ?? (interval == 4) else {
                throw refuse("a rotation of other layers than all but every fourth, which is llama.cpp's,")
            }
        }
    }

    /// Adds the members of the configuration that only this family has.
    ///
    /// - Throws: `ModelFormatError`
    func add(to config: inout JSONObject, _ keys: GGUFMetadata) throws {
        switch modelType {
        case "mistral", "phi3":
            let window = try keys.integer(keys.own("attention.sliding_window")) ?? 0
            config["sliding_window"] = window > 0 ? .integer(window) : .null
        case "smollm3": config["no_rope_layer_interval"] = 4
        default: break
        }
    }

    /// Adds the keys that only this family has.
    ///
    /// - Throws: `ModelFormatError`
    func add(to header: inout GGUFHeaderWriter, _ config: JSON) throws {
        guard modelType == "mistral" || modelType == "phi3" else { return }
        // The default of the class in transformers.
        let window = config["sliding_window"] ?? (modelType == "mistral" ? 4096 : .null)
        // llama.cpp recognises Phi-4 by a window of 0.
        if let size = window.int ?? (modelType == "phi3" ? 0 : nil) {
            try header.add(architecture + ".attention.sliding_window", size)
        }
    }
}
