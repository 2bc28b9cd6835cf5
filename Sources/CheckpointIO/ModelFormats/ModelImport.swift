import Foundation
import OrderedJSON

/// Opens models in the formats of other programs.
public enum ModelImport {
    /// Opens a Hugging Face folder, a safetensors file or index, or a GGUF file or its first shard.
    ///
    /// Only headers and the small text files are read. The format is detected by content; a file name's suffix only
    /// makes errors more precise.
    ///
    /// - Parameters:
    ///   - path: the folder or file.
    ///   - templateName: which of several chat templates of a folder to take; nil for the default one.
    ///   - requiresConfig: Whether safetensors without config.json are an error; else they have an empty one.
    /// - Returns: the model, whose tensors are not read yet.
    /// - Throws: `ModelFormatError`.
    public static func open(
        path: String, templateName: String? = nil, requiresConfig: Bool = true
    ) throws -> ImportedModel {
        guard path != "-" else {
            throw ModelFormatError.unsupported(
                path: path, what: "a model from standard input",
                remedy: "give a file or folder; it is read in several places")
        }
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw ModelFormatError.cannotRead(path: path, reason: systemError())
        }
        let isFolder = status.st_mode & S_IFMT == S_IFDIR
        let options = FolderOptions(templateName: templateName, requiresConfig: requiresConfig)
        let model = try isFolder ? openFolder(path, options) : openFile(path, options)
        try checkNames(model, path: path)
        return try checkingVocabulary(model, path: path)
    }

    /// A model whose tensors come from `source`, with the configuration and tokenizer of a Hugging Face folder.
    ///
    /// - Parameters:
    ///   - source: the tensors under their Hugging Face names.
    ///   - path: the tensors' file, for errors.
    ///   - config: the path of config.json.
    /// - Returns: the model.
    /// - Throws: `ModelFormatError`.
    package static func open(_ source: any TensorSource, path: String, config: String) throws -> ImportedModel {
        let (folder, name) = ((config as NSString).deletingLastPathComponent, (config as NSString).lastPathComponent)
        let directory = HuggingFaceFolder(path: folder.isEmpty ? "." : folder)
        let model = try directory.open(
            source, weightsPath: path, configName: name, options: FolderOptions(), notes: [])
        try checkNames(model, path: path)
        return try checkingVocabulary(model, path: path)
    }

    private static func openFolder(_ path: String, _ options: FolderOptions) throws -> ImportedModel {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        if let snapshot = try HubCache.snapshot(of: path, names) {
            var model = try openFolder(snapshot, options)
            model.notes.insert("read from \(snapshot)", at: 0)
            return model
        }
        let ggufs = names.filter { $0.hasSuffix(".gguf") }
        if let first = ggufs.count == 1 ? ggufs[0] : ShardName.first(of: ggufs),
            !names.contains(where: { $0.hasSuffix(".safetensors") || $0 == "config.json" })
        {
            return try openFile(FilePath.join(path, first), options)
        }
        return try HuggingFaceFolder(path: path).open(options: options)
    }

    private static func openFile(_ path: String, _ options: FolderOptions) throws -> ImportedModel {
        let file = try RandomAccessFile(path: path)
        let start = try file.bytes(at: 0, count: min(9, file.byteCount), place: "start of the file")
        let name = FilePath.name(of: path)
        let directory = HuggingFaceFolder(path: FilePath.folder(of: path))
        if start.starts(with: Array("GGUF".utf8)) { return try GGUFModel.open(file, path: path) }
        if PickleFile.startsLikePickle(start) || PickleFile.hasPickleName(name) {
            throw ModelFormatError.pickle(path: path)
        }
        if name.hasSuffix(".safetensors.index.json") {
            return try directory.open(options: options)
        }
        // A safetensors file has eight bytes of length, then the header's brace. A file with the suffix is parsed
        // anyway, for a precise error.
        guard start.count == 9 && start[8] == UInt8(ascii: "{") || name.hasSuffix(".safetensors") else {
            if name.hasSuffix(".gguf") {
                throw ModelFormatError.malformed(
                    path: path, place: "start of the file", reason: "does not begin with GGUF")
            }
            throw ModelFormatError.unrecognised(path: path)
        }
        let index = FilePath.join(directory.path, "model.safetensors.index.json")
        if access(index, F_OK) == 0, name != "model.safetensors",
            let map = try TextFile.json(index, maximumByteCount: TextFile.maximumIndexByteCount)["weight_map"]?.object,
            map.contains(where: { $0.value.string == name })
        {
            throw ModelFormatError.unsupported(
                path: path, what: "one shard of a model alone", remedy: "give the folder, or its index")
        }
        return try directory.open(weightsPath: path, options: options)
    }

    /// Refuses tensor names that a checkpoint cannot have.
    private static func checkNames(_ model: ImportedModel, path: String) throws {
        do {
            try TensorNames.check(
                model.source.tensors.map { TensorToWrite(description: $0, content: .bytes { _, _ in }) },
                tied: model.metadata.tiedTensors)
        } catch CheckpointError.invalid(let name, let problem) {
            throw ModelFormatError.malformed(path: path, place: name.onOneLine(limit: 120), reason: problem)
        }
    }

    /// Notes a tokenizer with tokens that have no row in the embedding.
    ///
    /// Only added tokens may have none, as in models whose padding token came with the training.
    private static func checkingVocabulary(_ model: ImportedModel, path: String) throws -> ImportedModel {
        guard let tokenizer = model.metadata.tokenizer,
            let rows = model.source.tensors.first(where: { $0.name == TiedHead.embedding })?.shape.first
        else { return model }
        let count = TokenizerRecord.tokenCount(try TextFile.object(tokenizer.json, path: path))
        guard count > rows else { return model }
        let beyond = tokenizer.addedTokens.filter { $0.id >= rows }
        guard Set(beyond.map(\.id)).isSuperset(of: rows..<count) else {
            throw ModelFormatError.malformed(
                path: path, place: "tokenizer",
                reason: "has token ids up to \(count - 1), but \(TiedHead.embedding) has \(rows) rows")
        }
        var noted = model
        noted.notes.append(
            "\(TiedHead.embedding) has \(rows) rows, none for the added tokens \(listed(beyond.map(\.content)));"
                + " to run the model, give them rows with ckpt resize-vocab --pad-to-multiple-of 1")
        return noted
    }
}

/// A model in another program's format; the tensors are not read yet.
public struct ImportedModel: Sendable {
    /// Configuration, tokenizer, chat template and ties, as for a checkpoint.
    public var metadata: CheckpointMetadata
    /// The tensors under their Hugging Face names, without tied ones.
    public var source: any TensorSource
    /// Remarks about this import for the user, one line each.
    public var notes: [String]
    /// The format of the files.
    public var format = ModelOrigin.Format.huggingFace
    /// What the publisher says about the model.
    public var attribution: ModelAttribution

    init(
        metadata: CheckpointMetadata, source: any TensorSource, notes: [String], attribution: ModelAttribution
    ) {
        self.metadata = metadata
        self.source = source
        self.notes = notes
        self.attribution = attribution
    }
}
