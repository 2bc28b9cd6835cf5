import OrderedJSON

/// Writes a model as a GGUF file for llama.cpp.
public enum GGUFExport {
    /// The type of matrices; vectors (norms, biases) are always float32, as llama.cpp requires.
    public enum Precision: String, Sendable, CaseIterable {
        case float32, float16, bfloat16
        /// Blocks of 32 signed bytes with a scale; matrices with rows that are not a multiple of 32 become float16.
        case q80 = "q8_0"

        var tensorType: GGUFTensorType {
            switch self {
            case .float32: .f32
            case .float16: .f16
            case .bfloat16: .bf16
            case .q80: .q80
            }
        }

        /// llama.cpp's number for a file with mostly this type.
        var fileType: Int {
            switch self {
            case .float32: 0
            case .float16: 1
            case .q80: 7
            case .bfloat16: 32
            }
        }
    }

    /// Writes a new file, which gets its name only when it is complete and flushed to the disk.
    ///
    /// - Parameters:
    ///   - metadata: Configuration, tokenizer, chat template and ties of the model.
    ///   - source: The tensors under their Hugging Face names.
    ///   - path: The file to be written.
    ///   - overwrite: Whether an existing file is replaced.
    ///   - precision: The type of matrices; nil for the most frequent type of the model.
    ///   - progress: Called with the tensor bytes read so far, from several threads.
    /// - Returns: Remarks for the user, one line each.
    /// - Throws: `ModelFormatError`, for example if the format cannot express the model, `CheckpointError`, or an error
    ///   of `source`.
    @discardableResult
    public static func write(
        _ metadata: CheckpointMetadata, _ source: any TensorSource, to path: String, overwrite: Bool,
        precision: Precision? = nil, progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> [String] {
        let precision =
            precision ?? Precision(rawValue: HuggingFaceTexts.commonType(source.tensors).rawValue) ?? .float32
        let config = try TextFile.object(Array(metadata.config.utf8), path: "/config")
        let model = try GGUFModelKeys(config, source.tensors)
        var header = GGUFHeaderWriter()
        var notes: [String] = []
        let name = FilePath.name(of: path)
        try model.add(to: &header, name: name.hasSuffix(".gguf") ? String(name.dropLast(5)) : name, precision)
        try ModelAttribution(lineage: metadata.lineage).add(to: &header)
        if let tokenizer = metadata.tokenizer {
            let keys = try GGUFTokenizerKeys(metadata, tokenizer, config, rows: model.vocabularySize)
            try keys.add(to: &header)
            notes = keys.notes
        }
        if let template = metadata.chatTemplate { header.add("tokenizer.chat_template", template) }

        let plan = try GGUFExportPlan(source.tensors, model, precision)
        let file = try AtomicFile(path, overwrite: overwrite)
        do {
            try plan.write(header.bytes(plan.infos), from: source, to: file.temporaryPath, reportedAs: path, progress)
            try file.commit()
        } catch {
            file.discard()
            throw error
        }
        return notes
    }
}
