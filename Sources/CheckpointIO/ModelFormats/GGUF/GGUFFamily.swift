/// A family of models in GGUF files.
extension ModelConfiguration.Family {
    /// llama.cpp's name of the architecture; Mistral shares that of Llama, and differs by its window.
    var ggufArchitecture: String { self == .mistral ? Self.llama.rawValue : rawValue }

    /// The supported architectures, for error messages.
    static var ggufArchitectures: String {
        allCases.filter { $0 != .mistral }.map(\.rawValue).joined(separator: ", ")
    }

    /// Whether llama.cpp rotates neighbouring elements of a head (`HeadRowOrder`).
    var interleavesHeads: Bool {
        switch self {
        case .llama, .mistral, .smollm3: true
        case .phi3, .qwen2, .qwen3: false
        }
    }

    /// The family of a GGUF file.
    ///
    /// - Throws: `ModelFormatError`
    init(_ keys: GGUFMetadata) throws {
        guard let family = Self.allCases.first(where: { $0.rawValue == keys.architecture && $0 != .mistral }) else {
            throw ModelFormatError.unsupported(
                path: keys.path, what: "architecture \(quoted(keys.architecture))",
                remedy: "ckpt reads \(Self.ggufArchitectures)")
        }
        let window = try keys.integer(keys.own("attention.sliding_window")) ?? 0
        self = family == .llama && window > 0 ? .mistral : family
    }
}

extension ModelConfiguration {
    /// Refuses what llama.cpp does not compute for the architecture.
    ///
    /// - Throws: `ModelFormatError.unsupported`
    func checkGGUF() throws {
        func refuse(_ what: String) -> ModelFormatError {
            .unsupported(path: "GGUF", what: what, remedy: "export it as a Hugging Face folder")
        }
        if [.phi3, .qwen2].contains(family), queryWidth != hiddenSize {
            throw refuse(
                "heads that together have another width than hidden_size with model_type \(family.rawValue), which"
                    + " llama.cpp does not load,")
        }
        if [.qwen2, .qwen3, .smollm3].contains(family), layerAttention.contains(where: { $0.window != nil }) {
            throw refuse("a sliding window of \(family.rawValue), which llama.cpp does not apply,")
        }
        if family == .smollm3, layerAttention.enumerated().contains(where: { (($0 + 1) % 4 != 0) != $1.rotates }) {
            throw refuse("a rotation of other layers than all but every fourth, which is llama.cpp's,")
        }
    }

    /// The value of `attention.sliding_window`, or nil without that key.
    ///
    /// llama.cpp recognises Phi-4 by a window of 0.
    var ggufWindow: Int? {
        switch family {
        case .mistral: layerAttention.first?.window
        case .phi3: layerAttention.first?.window ?? 0
        case .llama, .qwen2, .qwen3, .smollm3: nil
        }
    }
}
