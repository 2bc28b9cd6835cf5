import OrderedJSON

/// A model with an adapter merged, whose tensors are computed while they are read.
package struct AdaptedModel: Sendable {
    /// The base's metadata, with the adapter's vocabulary if that is another.
    package var metadata: CheckpointMetadata
    package var source: any TensorSource
    /// The weights that the adapter changes.
    package var changed: Set<String>
    package var notes: [String]
}

extension PEFTAdapter {
    private static let wordMatrices = [TiedHead.embedding, TiedHead.head]

    /// Merges the adapter into a base model.
    ///
    /// - Parameters:
    ///   - metadata: configuration, tokenizer and ties of the base.
    ///   - base: its tensors.
    /// - Returns: the merged model.
    /// - Throws: `ModelFormatError` if tensors, shapes or values do not fit the base.
    package func merged(into metadata: CheckpointMetadata, _ base: any TensorSource) throws -> AdaptedModel {
        let weights = Dictionary(base.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var replacements = replacements
        let keepsTie = try dropTiedHead(&replacements, metadata.tiedTensors)
        let modules = Set(matrices.keys).union(rows.keys)
        let names = modules.map { $0 + ".weight" } + replacements.keys
        var changes: [String: WeightChange] = [:]
        for name in Set(names).sorted() {
            if let other = metadata.tiedTensors[name] {
                throw ModelFormatError.unsupported(
                    path: file.path, what: "\(name) apart from \(other), to which it is tied in the base,",
                    remedy: "merge it with peft (merge_and_unload), or train the adapter on an untied model")
            }
            guard let weight = weights[name] else {
                throw malformed(
                    name,
                    "is not in the base model; give the base that the adapter was trained on"
                        + (configuration.baseModel.map { ", \(quoted($0))" } ?? ""))
            }
            let change = try change(weight, replacements[name], module: String(name.dropLast(".weight".count)))
            if metadata.tiedTensors.values.contains(name), change.hasProduct || change.isReplaced && !keepsTie {
                throw ModelFormatError.unsupported(
                    path: file.path, what: "\(name) apart from the head, which is tied to it in the base,",
                    remedy: "merge it with peft (merge_and_unload), or train the adapter on an untied model")
            }
            changes[name] = change
        }
        var model = AdaptedModel(
            metadata: metadata, source: AdaptedTensors(base, changes), changed: Set(changes.keys), notes: [])
        try resize(&model, weights, changes)
        return model
    }

    /// Drops a saved head that equals the saved embedding, if the base ties the two; returns whether they stay tied.
    private func dropTiedHead(_ replacements: inout [String: String], _ tied: [String: String]) throws -> Bool {
        guard tied[TiedHead.head] == TiedHead.embedding, let head = replacements[TiedHead.head],
            let embedding = replacements[TiedHead.embedding], let first = file.tensor(head),
            let second = file.tensor(embedding), first.shape == second.shape, first.elementType == second.elementType,
            try file.holdsEqual(first, embedding, of: file)
        else { return configuration.keepsTies }
        replacements[TiedHead.head] = nil
        return true
    }

    private func change(_ weight: TensorDescription, _ saved: String?, module: String) throws -> WeightChange {
        let replacement = saved.flatMap(file.tensor)
        if let replacement {
            var (shape, expected) = (replacement.shape, weight.shape)
            if Self.wordMatrices.contains(weight.name), shape.count == 2, expected.count == 2 {
                shape.removeFirst()
                expected.removeFirst()
            }
            guard shape == expected, replacement.elementCount > 0 || weight.elementCount == 0 else {
                throw malformed(
                    replacement.name, "has shape \(replacement.shape), the base's \(weight.name) \(weight.shape)")
            }
        }
        let shape = replacement?.shape ?? weight.shape
        guard weight.elementType.isFloatingPoint, replacement?.elementType.isFloatingPoint ?? true else {
            throw malformed(weight.name, "does not have floating-point numbers")
        }
        return WeightChange(
            weight, replacement: replacement.map { (file, $0) },
            product: try matrices[module].flatMap { try product($0, module, shape) }, rows: try newRows(module, shape))
    }

    /// The product of a module's matrices, for a weight of the given shape.
    private func product(_ pair: Matrices, _ module: String, _ shape: [Int]) throws -> LowRankProduct? {
        guard let a = pair.a.flatMap(file.tensor), let b = pair.b.flatMap(file.tensor) else { return nil }
        let rank = try configuration.rank(of: module)
        guard shape.count == 2 else { throw malformed(module, "has LoRA tensors, but its weight is no matrix") }
        // An embedding `[tokens, hidden]` is looked up: its change is (B·A)ᵀ with A `[r, tokens]`, B `[hidden, r]`.
        let (outputs, inputs) = pair.isEmbedding ? (shape[1], shape[0]) : (shape[0], shape[1])
        for (tensor, expected) in [(a, [rank, inputs]), (b, [outputs, rank])] {
            guard tensor.shape == expected, tensor.elementType.isFloatingPoint else {
                throw malformed(
                    tensor.name,
                    "has shape \(tensor.shape); rank \(rank) and the base's \(module) \(shape) need "
                        + "\(expected)")
            }
        }
        var (left, right) = (try values(b), try values(a))
        if pair.isEmbedding {
            (left, right) = (
                Self.transposed(right, rows: rank, columns: inputs), Self.transposed(left, rows: outputs, columns: rank)
            )
        }
        return LowRankProduct(
            left: left, right: right, rank: rank, columns: shape[1],
            scaling: Float(try configuration.scaling(of: module)))
    }

    private func newRows(_ module: String, _ shape: [Int]) throws -> (values: [Float], places: [Int: Int]) {
        guard let tensor = rows[module].flatMap(file.tensor) else { return ([], [:]) }
        guard let ids = configuration.tokens(of: module) else {
            throw malformed(tensor.name, "has rows of \(module), which trainable_token_indices does not list")
        }
        guard shape.count == 2, tensor.shape == [ids.count, shape[1]], tensor.elementType.isFloatingPoint,
            ids.allSatisfy({ (0..<shape[0]).contains($0) })
        else {
            throw malformed(
                tensor.name,
                "has shape \(tensor.shape); \(ids.count) rows of the base's \(module) \(shape) were expected")
        }
        return (
            try values(tensor), Dictionary(ids.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        )
    }

    /// The elements of one of the adapter's tensors, which must be finite.
    private func values(_ tensor: TensorDescription) throws -> [Float] {
        let values = try file.float32(tensor)
        guard values.allSatisfy(\.isFinite) else { throw malformed(tensor.name, "has a value that is not finite") }
        return values
    }

    private static func transposed(_ values: [Float], rows: Int, columns: Int) -> [Float] {
        var result = [Float](repeating: 0, count: values.count)
        for row in 0..<rows {
            for column in 0..<columns { result[column * rows + row] = values[row * columns + column] }
        }
        return result
    }

    /// Takes the number of tokens, and the tokenizer beside the adapter, from an adapter with a resized vocabulary.
    private func resize(
        _ model: inout AdaptedModel, _ weights: [String: TensorDescription], _ changes: [String: WeightChange]
    ) throws {
        let counts = Self.wordMatrices.filter { weights[$0] != nil }.map {
            changes[$0]?.rowCount ?? weights[$0]?.shape.first ?? 0
        }
        guard let count = counts.first, Self.wordMatrices.contains(where: { changes[$0]?.rowCount != nil }) else {
            return
        }
        guard counts.allSatisfy({ $0 == count }) else {
            throw malformed(TiedHead.head, "and \(TiedHead.embedding) would have \(counts) rows, which must be equal")
        }
        let json = try? JSON.parse(model.metadata.config)
        if var config = json, config["vocab_size"]?.int != count {
            config["vocab_size"] = .integer(count)
            model.metadata.config = config.serialized(indent: 2) + "\n"
        }
        let folder = FilePath.folder(of: file.path)
        let tokenizer = try TokenizerFiles(folder: folder, modelType: json?["model_type"]?.string, rows: count)
        guard let record = tokenizer.record else {
            model.notes.append(
                "the adapter gives the model \(count) tokens, but its folder has no tokenizer; the base's is kept")
            return
        }
        model.metadata.tokenizer = record
        model.notes.append("the adapter gives the model \(count) tokens; tokenizer and chat template are the adapter's")
        model.notes += tokenizer.notes
        if let template = try ChatTemplateFiles(folder: folder).template(named: nil, &model.notes) {
            model.metadata.chatTemplate = template
        }
    }
}
