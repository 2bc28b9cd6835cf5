/// What a tensor of an adapter file is, by its name.
enum PEFTTensor: Equatable {
    /// A matrix of LoRA on a linear module; `isA` is the one that is applied first.
    case matrix(module: String, isA: Bool)
    /// A matrix of LoRA on an embedding, stored transposed.
    case embeddingMatrix(module: String, isA: Bool)
    /// New values of a module's rows.
    case rows(module: String)
    /// A tensor of the base model with new values.
    case replacement(name: String)
    /// The untrained copy of a saved module.
    case original

    /// Names as PEFT, its trainers and raw state dicts have them; nil for tensors that LoRA does not have.
    ///
    /// The prefix `base_model.model.` and the adapter's name (`lora_A.default.weight`) may be there or not.
    init?(_ name: String) {
        let prefix = "base_model.model."
        let parts = (name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name)
            .split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        func module(_ count: Int) -> String { parts.prefix(count).joined(separator: ".") }
        if parts.contains("original_module") || parts.last == "trainable_tokens_original" {
            self = .original
        } else if let index = parts.firstIndex(where: { $0.hasPrefix("lora_") }) {
            let rest = parts[(index + 1)...]
            switch parts[index] {
            case "lora_A" where rest.last == "weight" && rest.count <= 2:
                self = .matrix(module: module(index), isA: true)
            case "lora_B" where rest.last == "weight" && rest.count <= 2:
                self = .matrix(module: module(index), isA: false)
            case "lora_embedding_A" where rest.count <= 1: self = .embeddingMatrix(module: module(index), isA: true)
            case "lora_embedding_B" where rest.count <= 1: self = .embeddingMatrix(module: module(index), isA: false)
            default: return nil
            }
        } else if let index = parts.firstIndex(of: "token_adapter") {
            guard parts.dropFirst(index + 1).first == "trainable_tokens_delta", parts.count <= index + 3 else {
                // The wrapped layer of a raw state dict is the base's.
                guard parts.dropFirst(index + 1).first == "base_layer" else { return nil }
                self = .original
                return
            }
            self = .rows(module: module(index))
        } else if let index = parts.firstIndex(of: "modules_to_save") {
            // `module.modules_to_save.default.weight`, or without the adapter's name.
            let rest = parts.dropFirst(index + 1)
            self = .replacement(name: (parts[..<index] + rest.suffix(1)).joined(separator: "."))
        } else {
            self = .replacement(name: parts.filter { $0 != "base_layer" }.joined(separator: "."))
        }
    }
}
