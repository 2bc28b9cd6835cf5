import OrderedJSON

/// A model in GGUF.
enum GGUFModel {
    /// Opens the model that begins with a file; `path` is what the file was given by.
    static func open(_ file: RandomAccessFile, path: String) throws -> ImportedModel {
        let shards = try GGUFShards(file, path: path)
        guard case .string(let architecture)? = shards.values["general.architecture"] else {
            throw ModelFormatError.missing(
                path: file.path, what: "key \"general.architecture\"", remedy: "the file does not hold a model")
        }
        if shards.values["general.type"] == .string("adapter") || shards.values["adapter.type"] != nil {
            throw ModelFormatError.unsupported(
                path: file.path, what: "a LoRA adapter in GGUF", remedy: "give the adapter's PEFT folder to --adapter")
        }
        let keys = GGUFMetadata(path: file.path, values: shards.values, architecture: architecture)
        var notes: [String] = []
        let configuration = try GGUFConfiguration(
            keys, tensors: shards.tensors, rope: ropeTensors(shards), elementType: commonType(shards.tensors))
        if !configuration.unreadKeys.isEmpty {
            let shown = configuration.unreadKeys.prefix(20).map { $0.onOneLine(limit: 80) }.joined(separator: ", ")
            let rest = configuration.unreadKeys.count > 20 ? " and \(configuration.unreadKeys.count - 20) more" : ""
            notes.append("left out what llama.cpp does not read for architecture \(architecture): \(shown)\(rest)")
        }
        let parsed: ModelConfiguration
        do {
            parsed = try ModelConfiguration(configuration.json)
        } catch {
            throw ModelFormatError.malformed(path: file.path, place: "keys", reason: "\(error)")
        }
        let tensors = try tensors(shards, configuration, architecture)
        if !shards.tensors.contains(where: { $0.name == "output.weight" }) {
            notes.append("the output head shares the embedding's values")
        }
        let quantised = Set(shards.tensors.map(\.type)).filter { $0.blockElementCount > 1 }.map(\.name).sorted()
        if !quantised.isEmpty {
            notes.append("\(quantised.joined(separator: ", ")) values are converted to float32")
        }

        var metadata = CheckpointMetadata(config: configuration.json.serialized(indent: 2) + "\n")
        let generation = try GGUFConfiguration.generation(keys)
        if generation.object?.isEmpty == false { metadata.generationConfig = generation.serialized(indent: 2) + "\n" }
        metadata.chatTemplate = try keys.string("tokenizer.chat_template")
        if configuration.json["tie_word_embeddings"]?.bool == true {
            metadata.tiedTensors = [TiedHead.head: TiedHead.embedding]
        }
        if let original = try keys.string("tokenizer.huggingface.json") {
            // The converter stored the original tokenizer.json.
            let rebuilt = try GGUFTokenizer(keys, chatTemplate: metadata.chatTemplate, notes: &notes)
            metadata.tokenizer = try TokenizerRecord(
                json: Array(original.utf8), config: rebuilt.map { $0.config.serialized(indent: 2) + "\n" },
                path: "\(file.path): tokenizer.huggingface.json")
        } else if let tokenizer = try GGUFTokenizer(keys, chatTemplate: metadata.chatTemplate, notes: &notes) {
            metadata.tokenizer = try TokenizerRecord(
                json: Array(tokenizer.json.serialized(indent: 2).utf8),
                config: tokenizer.config.serialized(indent: 2) + "\n", path: file.path)
        } else {
            notes.append("the file has no tokenizer")
        }
        let source = ZeroBiases.completing(GGUFTensors(shards.files, tensors), parsed, &notes)
        var model = ImportedModel(
            metadata: metadata, source: source, notes: notes, attribution: ModelAttribution(keys))
        model.format = .gguf
        return model
    }

    /// The most frequent element type after the import.
    private static func commonType(_ tensors: [GGUFTensorInfo]) -> ElementType {
        var counts: [ElementType: Int] = [:]
        for tensor in tensors {
            let count = tensor.byteCount / tensor.type.blockByteCount * tensor.type.blockElementCount
            counts[tensor.type.elementType, default: 0] &+= count
        }
        return counts.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key ?? .float32
    }

    /// The divisors of rotary frequencies.
    private static func ropeTensors(_ shards: GGUFShards) throws -> GGUFRopeScaling.Tensors {
        var result = GGUFRopeScaling.Tensors()
        for tensor in shards.tensors where GGUFRopeScaling.Tensors.names.contains(tensor.name) {
            let place = "tensor \(quoted(tensor.name))"
            let file = shards.files[tensor.shard]
            guard tensor.type == .f32, tensor.shape.count == 1, tensor.shape[0] <= 4096 else {
                throw ModelFormatError.malformed(
                    path: file.path, place: place, reason: "is not a vector of F32 with at most 4096 elements")
            }
            let values = try file.bytes(at: tensor.offset, count: tensor.byteCount, place: place)
                .withUnsafeBytes { bytes in
                    (0..<tensor.shape[0]).map { index in
                        let bits = bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)
                        return Double(Float(bitPattern: UInt32(littleEndian: bits)))
                    }
                }
            guard values.allSatisfy({ $0 > 0 && $0.isFinite }) else {
                throw ModelFormatError.malformed(
                    path: file.path, place: place, reason: "has values that are not finite and greater than zero")
            }
            result.values[tensor.name] = values
        }
        return result
    }

    private static func tensors(
        _ shards: GGUFShards, _ configuration: GGUFConfiguration, _ architecture: String
    ) throws -> [GGUFTensors.Tensor] {
        var tensors: [GGUFTensors.Tensor] = []
        for info in shards.tensors where !GGUFRopeScaling.Tensors.names.contains(info.name) {
            let file = shards.files[info.shard]
            guard let name = GGUFTensorNames.huggingFaceName(info.name, configuration.family) else {
                throw ModelFormatError.unsupported(
                    path: file.path, what: "tensor \(quoted(info.name)) of architecture \(quoted(architecture))",
                    remedy: "ckpt reads plain decoders of \(ModelConfiguration.Family.ggufArchitectures)")
            }
            let description = TensorDescription(name: name, elementType: info.type.elementType, shape: info.shape)
            var tensor = GGUFTensors.Tensor(description: description, info: info)
            if configuration.family.interleavesHeads, info.name.contains(".attn_q.") || info.name.contains(".attn_k.") {
                guard info.shape[0] % configuration.headDimension == 0 else {
                    throw ModelFormatError.malformed(
                        path: file.path, place: "tensor \(quoted(info.name))",
                        reason: "\(info.shape[0]) rows are not a multiple of the head's \(configuration.headDimension)")
                }
                tensor.rowOrder = HeadRowOrder(headDimension: configuration.headDimension)
            }
            tensors.append(tensor)
        }
        return tensors
    }
}
