/// Fits the tensors of a model to the architecture that its configuration describes.
package enum ArchitectureFit {
    /// Names of modules that training frameworks wrap around others; they may stand anywhere in a name.
    private static let wrappers: Set<Substring> = [
        "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
    ]

    /// The tensors under the architecture's names, without buffers that it does not have.
    static func resolve(
        _ source: any TensorSource, _ configuration: ModelConfiguration, _ notes: inout [String]
    ) -> any TensorSource {
        let expected = Set(configuration.parameters.map(\.name) + [TiedHead.head])
        let renamed = renames(source.tensors.map(\.name), expected)
        if let first = source.tensors.first(where: { renamed[$0.name] != nil }), let new = renamed[first.name] {
            let others = renamed.count == 1 ? "" : ", and \(renamed.count - 1) more names likewise"
            notes.append("\(quoted(first.name)) is read as \(quoted(new))\(others)")
        }
        let buffers = source.tensors.map(\.name).filter { name in
            !expected.contains(renamed[name] ?? name) && isBuffer(name)
        }
        if !buffers.isEmpty {
            notes.append("left out buffers that are not parameters of the architecture: \(listed(buffers))")
        }
        guard !renamed.isEmpty || !buffers.isEmpty else { return source }
        let left = Set(buffers)
        return SelectedTensors(source) { left.contains($0.name) ? nil : renamed[$0.name] ?? $0.name }
    }

    /// The architecture's names for names that differ from them in one consistent way; empty if they do not.
    ///
    /// The difference is a prefix that is too long (`module.`, `base_model.model.`) or missing (`model.`), found at the
    /// embedding and the head, and wrappers inside the names.
    private static func renames(_ names: [String], _ expected: Set<String>) -> [String: String] {
        let bare = names.map { name in
            name.split(separator: ".", omittingEmptySubsequences: false).filter { !wrappers.contains($0) }
                .joined(separator: ".")
        }
        func prefix(before stem: String) -> String? {
            let found = bare.filter { $0 == stem || $0.hasSuffix("." + stem) }
            return found.count == 1 ? String(found[0].dropLast(stem.count)) : nil
        }
        let body = prefix(before: "embed_tokens.weight") ?? "model."
        let head = prefix(before: TiedHead.head) ?? ""
        var renamed: [String: String] = [:]
        for (name, bare) in zip(names, bare) {
            let candidates =
                (bare.hasPrefix(body) ? ["model." + bare.dropFirst(body.count)] : [])
                + (bare.hasPrefix(head) ? [String(bare.dropFirst(head.count))] : [])
            if let new = candidates.first(where: expected.contains), new != name { renamed[name] = new }
        }
        let kept = names.filter { renamed[$0] == nil }
        // Two names for one parameter, or names that fit already, are no consistent difference.
        let result = Set(renamed.values)
        guard result.count == renamed.count, result.isDisjoint(with: kept) else { return [:] }
        return renamed
    }

    /// Whether a tensor is a buffer of modules of this kind: rotary frequencies, attention masks, counters, positions.
    private static func isBuffer(_ name: String) -> Bool {
        let parts = name.split(separator: ".")
        guard let last = parts.last else { return false }
        if ["inv_freq", "masked_bias", "num_batches_tracked", "position_ids", "causal_mask"].contains(last) {
            return true
        }
        guard let owner = parts.dropLast().last else { return false }
        if owner.hasPrefix("rotary") { return true }
        return last == "bias" && ["attn", "self_attn", "attention"].contains(owner)
    }

    /// Parameters of the architecture that neither the tensors nor the ties provide.
    package static func missing(
        _ configuration: ModelConfiguration, _ tensors: [TensorDescription], tied: [String: String]
    ) -> [String] {
        let present = Set(tensors.map(\.name))
        return configuration.parameters.map(\.name).filter { name in
            !present.contains(name) && !(tied[name].map(present.contains) ?? false)
        }
    }

    /// Why the tensors are not the parameters of the architecture; nil if they are.
    package static func problem(
        _ configuration: ModelConfiguration, _ tensors: [TensorDescription], tied: [String: String]
    ) -> String? {
        let missing = missing(configuration, tensors, tied: tied)
        if let first = missing.first {
            return "the model has no tensor \(first)"
                + (missing.count > 1 ? " and \(missing.count - 1) others of its architecture" : "")
        }
        let shapes = Dictionary(configuration.parameters.map { ($0.name, $0.shape) }, uniquingKeysWith: { $1 })
        for tensor in tensors {
            guard let shape = shapes[tensor.name] else {
                if tensor.name == TiedHead.head { continue }
                return "tensor \(quoted(tensor.name)) has no place in the architecture; ckpt extract leaves it out,"
                    + " ckpt rename gives it another name"
            }
            guard tensor.shape == shape else {
                return "\(tensor.name) has shape \(tensor.shape), but config.json requires \(shape)"
            }
        }
        return nil
    }
}
