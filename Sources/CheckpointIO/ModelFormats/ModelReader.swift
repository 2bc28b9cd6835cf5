import Foundation

/// Opens a model of any format, with no import first.
///
/// Its tensors stay where they are and are read in ranges, so the memory does not depend on the size of the model.
///
/// ```swift
/// let file = try ModelReader.open("SmolLM2-135M-Instruct/")
/// print(file.origin?.format.name ?? "checkpoint", file.tensors().count)
/// ```
public enum ModelReader {
    /// Opens a checkpoint, a Hugging Face folder, a safetensors file or index, a GGUF file, or a LoRA adapter of PEFT.
    ///
    /// The tensors have the names of Hugging Face, and quantised ones the float32 values they stand for. Those of an
    /// adapter are the weights of its base with the adapter merged.
    ///
    /// - Parameters:
    ///   - path: the file or folder.
    ///   - base: the base model of an adapter, in any format; nil to look for the one that its configuration names.
    ///   - hashing: Whether to read all tensors of another format now, so that they and the model have digests: those
    ///     that an import would record.
    /// - Returns: the model; `origin` is nil for a checkpoint.
    /// - Throws: `CheckpointError`, `ModelFormatError`.
    public static func open(_ path: String, base: String? = nil, hashing: Bool = false) throws -> CheckpointFile {
        if isAdapter(path) { return try openAdapter(path, base: base, hashing: hashing) }
        guard isOtherFormat(path) else { return try CheckpointFile(path: path) }
        let model = try ModelImport.open(path: path, requiresConfig: false)
        return try file(
            path, model.metadata, model.source, ModelOrigin(model.format, notes: model.notes), hashing: hashing)
    }

    /// Whether a path is an adapter of PEFT: a folder with `adapter_config.json` and no model, or its weights.
    public static func isAdapter(_ path: String) -> Bool {
        if isFolder(path) {
            return exists(path, "adapter_config.json")
                && !["model.safetensors", "model.safetensors.index.json"].contains { exists(path, $0) }
        }
        return FilePath.name(of: path).hasPrefix("adapter_model") && path.hasSuffix(".safetensors")
            && exists(FilePath.folder(of: path), "adapter_config.json")
    }

    /// Whether a folder holds a model or an adapter; false for a run's folder and for files.
    public static func isModelFolder(_ path: String) -> Bool {
        guard isFolder(path), !isAdapter(path) else { return isFolder(path) }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.contains("snapshots") && names.contains("refs")
            || names.contains {
                $0 == "model.safetensors.index.json" || $0.hasSuffix(".safetensors") || $0.hasSuffix(".gguf")
            }
    }

    private static func openAdapter(_ path: String, base: String?, hashing: Bool) throws -> CheckpointFile {
        let adapter = try PEFTAdapter(path: path)
        let found = try base ?? self.base(of: adapter)
        guard !isAdapter(found) else {
            throw ModelFormatError.unsupported(
                path: found, what: "an adapter as the base of an adapter",
                remedy: "give the model that both were trained on, or merge the first with ckpt import --adapter")
        }
        let (metadata, source, notes) = try openBase(found)
        let merged = try adapter.merged(into: metadata, source)
        return try file(
            path, merged.metadata, merged.source,
            ModelOrigin(.adapter, notes: ["merged into \(found)"] + notes + merged.notes), hashing: hashing)
    }

    private static func openBase(_ path: String) throws -> (CheckpointMetadata, any TensorSource, notes: [String]) {
        guard !isOtherFormat(path) else {
            let model = try ModelImport.open(path: path)
            return (model.metadata, model.source, model.notes)
        }
        let file = try CheckpointFile(path: path)
        let metadata = file.metadata
        // The base's curves, probes and optimizer are not those of the merged model.
        return (
            CheckpointMetadata(
                config: metadata.config, generationConfig: metadata.generationConfig,
                chatTemplate: metadata.chatTemplate, tokenizer: metadata.tokenizer, tiedTensors: metadata.tiedTensors),
            CheckpointTensors(file), []
        )
    }

    /// The base model that an adapter's configuration names: a path, a folder beside the adapter, or a name whose model
    /// is in the Hugging Face cache.
    private static func base(of adapter: PEFTAdapter) throws -> String {
        let remedy = "give the base model with --base"
        guard let name = adapter.configuration.baseModel, !name.isEmpty else {
            throw ModelFormatError.missing(path: adapter.path, what: "base_model_name_or_path", remedy: remedy)
        }
        let folder = FilePath.folder(of: adapter.configuration.path)
        let beside = FilePath.join(FilePath.join(folder, ".."), FilePath.name(of: name))
        let cached = HubCache.folder(of: name)
        guard let found = ([name, beside] + [cached].compactMap(\.self)).first(where: { access($0, F_OK) == 0 }) else {
            throw ModelFormatError.missing(
                path: adapter.path,
                what: "base model \(quoted(name)), as a path, beside the adapter or in the Hugging Face cache",
                remedy: remedy)
        }
        return found
    }

    private static func file(
        _ path: String, _ metadata: CheckpointMetadata, _ source: any TensorSource, _ origin: ModelOrigin, hashing: Bool
    ) throws -> CheckpointFile {
        var metadata = metadata
        metadata.createdBy = origin.format.name
        let digests =
            hashing
            ? try TensorToWrite.digestsByName(of: source.tensors.map { TensorToWrite(reading: $0, from: source) }) : [:]
        return CheckpointFile(path: path, metadata: metadata, tensors: source, origin: origin, digests: digests)
    }

    /// Whether a path is for the readers of other formats; other paths are for the reader of checkpoints and its
    /// errors.
    static func isOtherFormat(_ path: String) -> Bool {
        if isFolder(path) { return true }
        let name = FilePath.name(of: path)
        let suffixes = [".safetensors", ".safetensors.index.json", ".gguf"]
        if suffixes.contains(where: name.hasSuffix) || PickleFile.hasPickleName(name) { return true }
        guard let file = try? RandomAccessFile(path: path),
            let start = try? file.bytes(at: 0, count: min(9, file.byteCount), place: "start of the file")
        else { return false }
        // The length of a safetensors header is below 2²⁷; an HDF5 file has its signature in that place.
        return start.starts(with: Array("GGUF".utf8))
            || start.count == 9 && start[8] == UInt8(ascii: "{") && start[4..<8].allSatisfy { $0 == 0 }
    }

    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func exists(_ folder: String, _ name: String) -> Bool {
        let path = FilePath.join(folder, name)
        return access(path, F_OK) == 0 || AtomicFile.isLink(path)
    }
}
