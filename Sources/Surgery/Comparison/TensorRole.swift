/// The role of a tensor in a decoder, from its Hugging Face name.
package enum TensorRole: String, Sendable, CaseIterable {
    case embed, q, k, v, o, gate, up, down, norm, head, other

    package init(_ name: String) {
        let parts = name.split(separator: ".").map(String.init)
        if parts.contains(where: { $0.hasSuffix("norm") || $0.hasSuffix("layernorm") }) {
            self = .norm
        } else if parts.contains("embed_tokens") {
            self = .embed
        } else if parts.contains("lm_head") {
            self = .head
        } else if let projection = parts.first(where: { $0.hasSuffix("_proj") }) {
            self = TensorRole(rawValue: String(projection.dropLast(5))) ?? .other
        } else {
            self = .other
        }
    }

    /// The number after `layers.` in a name; nil if no model has so many layers, because tables have a cell for each.
    static func layer(of name: String) -> Int? {
        let parts = name.split(separator: ".")
        guard let index = parts.firstIndex(of: "layers"), index + 1 < parts.count else { return nil }
        return Int(parts[index + 1]).flatMap { (0..<10_000).contains($0) ? $0 : nil }
    }
}
