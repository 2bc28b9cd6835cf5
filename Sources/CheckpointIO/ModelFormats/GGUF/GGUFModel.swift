import OrderedJSON

/// A model in a GGUF file.
enum GGUFModel {
    static func open(_ file: RandomAccessFile) throws -> ImportedModel {
        let header = try GGUFHeader(file)
        guard case .string(let architecture)? = header.values["general.architecture"] else {
            throw ModelFormatError.missing(
                path: file.path, what: "key \"general.architecture\"", remedy: "the file does not hold a model")
        }
        let keys = GGUFMetadata(path: file.path, values: header.values, architecture: architecture)
        if let count = try keys.integer("split.count"), count > 1 {
            throw ModelFormatError.unsupported(
                path: file.path, what: "a model split over \(count) GGUF files",
                remedy: "join them first (llama-gguf-split --merge)")
        }
        var notes: [String] = []
        let frequencies = try vector("rope_freqs.weight", header, file)
        let configuration = try GGUFConfiguration(
            keys, tensors: header.tensors, ropeFrequencies: frequencies,
            longRope: try GGUFLongRope(keys) { try vector($0, header, file) }, elementType: commonType(header.tensors))
        let tensors = try tensors(header, configuration, architecture, file)
        if !header.tensors.contains(where: { $0.name == "output.weight" }) {
            notes.append("the output head shares the embedding's values")
        }
        let quantised = Set(header.tensors.map(\.type)).filter { $0.blockElementCount > 1 }.map(\.name).sorted()
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
        return ImportedModel(metadata: metadata, source: GGUFTensors(file, tensors), notes: notes)
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

    /// The values of a small vector; nil if the file does not have it.
    private static func vector(_ name: String, _ header: GGUFHeader, _ file: RandomAccessFile) throws -> [Float]? {
        guard let tensor = header.tensors.first(where: { $0.name == name }) else { return nil }
        let place = "tensor \(quoted(name))"
        guard tensor.type == .f32, tensor.shape.count == 1, tensor.shape[0] <= 4096 else {
            throw ModelFormatError.malformed(
                path: file.path, place: place, reason: "is not a vector of F32 with at most 4096 elements")
        }
        return try file.bytes(at: tensor.offset, count: tensor.byteCount, place: place)
            .withUnsafeBytes { bytes in
                (0..<tensor.shape[0]).map {
                    Float(
                        bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)))
                }
            }
    }

    private static func tensors(
        _ header: GGUFHeader, _ configuration: GGUFConfiguration, _ architecture: String, _ file: RandomAccessFile
    ) throws -> [GGUFTensors.Tensor] {
        var tensors: [GGUFTensors.Tensor] = []
        let scaling = ["rope_freqs.weight", GGUFLongRope.names.short, GGUFLongRope.names.long]
        for info in header.tensors where !scaling.contains(info.name) {
            guard let name = GGUFTensorNames.huggingFaceName(info.name, configuration.family) else {
                throw ModelFormatError.unsupported(
                    path: file.path, what: "tensor \(quoted(info.name)) of architecture \(quoted(architecture))",
                    remedy: "ckpt reads plain decoders of \(GGUFFamily.architectures)")
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
