import Foundation
import OrderedJSON

/// How a folder is opened.
struct FolderOptions {
    /// Which of several chat templates to take; nil for the default one.
    var templateName: String?
    /// Whether a folder without config.json is an error.
    var requiresConfig = true
}

/// A model in a Hugging Face folder: safetensors, `config.json`, and the tokenizer's files.
struct HuggingFaceFolder {
    let path: String

    /// Opens the model, with the weights in `weightsPath` or, if that is nil, in files with the usual names.
    func open(weightsPath: String? = nil, options: FolderOptions) throws -> ImportedModel {
        var notes: [String] = []
        let stored = try weights(weightsPath, &notes)
        guard !Self.isAdapter(weightsPath, stored.tensors) else {
            throw ModelFormatError.adapter(path: weightsPath ?? path)
        }
        return try open(
            stored, weightsPath: weightsPath, configName: "config.json", options: options, notes: notes)
    }

    /// Opens the model with the weights of `stored`; `weightsPath` names their file in errors.
    func open(
        _ stored: any TensorSource, weightsPath: String?, configName: String, options: FolderOptions, notes: [String]
    ) throws -> ImportedModel {
        var notes = notes
        let configPath = file(configName)
        guard let config = try TextFile.text(configPath, maximumByteCount: TextFile.maximumConfigByteCount) else {
            guard options.requiresConfig else {
                let source = try ScaledTensors.resolve(stored, block: nil, path: weightsPath ?? path, &notes)
                return ImportedModel(
                    metadata: CheckpointMetadata(config: "{}"), source: source,
                    notes: notes + ["there is no config.json; tensors have the names in the file"],
                    attribution: ModelAttribution(frontMatter: [:]))
            }
            throw ModelFormatError.missing(
                path: weightsPath ?? path, what: "config.json", remedy: "put the model's config.json beside its weights"
            )
        }
        var configuration = try TextFile.object(Array(config.utf8), path: configPath)
        var metadata = CheckpointMetadata(config: config)
        var block: (rows: Int, columns: Int)?
        if let quantization = configuration["quantization_config"], !quantization.isNull {
            block = try QuantizationConfiguration(quantization, path: configPath).block
            // The values that are read are not quantised any more.
            var members = configuration.object ?? JSONObject()
            members["quantization_config"] = nil
            configuration = .object(members)
            metadata.config = configuration.serialized(indent: 2) + "\n"
        }
        let stored = try ScaledTensors.resolve(stored, block: block, path: weightsPath ?? path, &notes)

        metadata.generationConfig = try TextFile.text(
            file("generation_config.json"), maximumByteCount: TextFile.maximumConfigByteCount)
        if let text = metadata.generationConfig {
            _ = try TextFile.object(Array(text.utf8), path: file("generation_config.json"))
        }
        metadata.chatTemplate = try ChatTemplateFiles(folder: path).template(named: options.templateName, &notes)

        let parsed = try? ModelConfiguration(configuration)
        let source = parsed.map { ArchitectureFit.resolve(stored, $0, &notes) } ?? stored
        let (tied, tensors) = try TiedHead.resolve(
            source, isTied: parsed?.tiesWordEmbeddings ?? configuration["tie_word_embeddings"]?.bool ?? false,
            path: configPath, &notes)
        metadata.tiedTensors = tied
        let tokenizer = try TokenizerFiles(
            folder: path, modelType: configuration["model_type"]?.string,
            rows: source.tensors.first { $0.name == TiedHead.embedding }?.shape.first)
        metadata.tokenizer = tokenizer.record
        notes += tokenizer.notes
        // A card that is too large or is not text does not stop the import.
        let card = (try? TextFile.text(file("README.md"), maximumByteCount: FrontMatter.maximumByteCount)) ?? nil
        return ImportedModel(
            metadata: metadata, source: tensors, notes: notes,
            attribution: ModelAttribution(frontMatter: card.map(FrontMatter.parse) ?? [:]))
    }

    private func file(_ name: String) -> String { FilePath.join(path, name) }

    /// Whether there is an entry of this name; a broken link counts, so that opening it reports the link.
    private func exists(_ name: String) -> Bool { access(file(name), F_OK) == 0 || AtomicFile.isLink(file(name)) }

    /// Whether weights are those of an adapter, by a file's name or the names of tensors.
    private static func isAdapter(_ weightsPath: String?, _ tensors: [TensorDescription]) -> Bool {
        let marks = [".lora_A.", ".lora_B.", ".lora_embedding_", ".lora_magnitude_vector"]
        return weightsPath.map { FilePath.name(of: $0).hasPrefix("adapter_model") } ?? false
            || tensors.contains { tensor in marks.contains { tensor.name.contains($0) } }
    }

    private func weights(_ given: String?, _ notes: inout [String]) throws -> any TensorSource {
        if let given { return try SafetensorsFile(path: given) }
        let single = file("model.safetensors")
        let index = file("model.safetensors.index.json")
        let hasIndex = exists("model.safetensors.index.json")
        if exists("model.safetensors") {
            if hasIndex {
                notes.append(
                    "the folder has both model.safetensors and an index; "
                        + "like transformers, ckpt reads model.safetensors")
            }
            return try SafetensorsFile(path: single)
        }
        let names = try names()
        if hasIndex {
            let shards = try SafetensorsShards(indexPath: index)
            notes += shards.notes
            let others = Set(names.filter { $0.hasSuffix(".safetensors") }).subtracting(shards.fileNames).sorted()
            if !others.isEmpty { notes.append("left out files that the index does not name: \(listed(others))") }
            return shards
        }
        let candidates = names.filter { $0.hasSuffix(".safetensors") && !$0.hasPrefix("adapter_") }
        if candidates.count == 1 {
            notes.append("weights from \(candidates[0])")
            return try SafetensorsFile(path: file(candidates[0]))
        }
        if candidates.count > 1 {
            throw ModelFormatError.missing(
                path: path, what: "model.safetensors.index.json for \(listed(candidates))",
                remedy: "give the index, or the one file to import")
        }
        if let pickle = names.first(where: { PickleFile.hasPickleName($0) }) {
            throw ModelFormatError.pickle(path: file(pickle))
        }
        if names.contains("adapter_config.json") {
            throw ModelFormatError.adapter(path: path)
        }
        throw ModelFormatError.missing(
            path: path, what: "model.safetensors",
            remedy: "give a Hugging Face folder with safetensors weights, or a .gguf file")
    }

    /// The names of the folder's entries, sorted.
    private func names() throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        } catch {
            throw ModelFormatError.cannotRead(path: path, reason: "the folder cannot be listed")
        }
    }
}

/// Recognises PyTorch's pickled weights, which are refused.
enum PickleFile {
    static func hasPickleName(_ name: String) -> Bool {
        name.hasSuffix(".bin") && name.hasPrefix("pytorch_model") || name.hasSuffix(".pt") || name.hasSuffix(".pth")
            || name.hasSuffix(".pkl") || name == "pytorch_model.bin.index.json"
    }

    /// Whether a file that starts with these bytes is a pickle, or a zip archive as written by `torch.save`.
    static func startsLikePickle(_ bytes: [UInt8]) -> Bool {
        bytes.starts(with: [0x50, 0x4B, 0x03, 0x04])
            || bytes.count > 1 && bytes[0] == 0x80 && (2...5).contains(bytes[1])
    }
}
