import OrderedJSON

/// Writes the adapter of a checkpoint as a folder for PEFT.
public enum PEFTExport {
    private static let prefix = "base_model.model."
    private static let rowsSuffix = ".token_adapter.trainable_tokens_delta"

    /// Writes `adapter_config.json`, `adapter_model.safetensors`, the tokenizer's files and a model card.
    ///
    /// Trained rows are written as PEFT keeps them since version 0.15: the new values of `trainable_token_indices`. The
    /// folder gets its name only when it is complete and flushed to the disk.
    ///
    /// - Parameters:
    ///   - file: a checkpoint with an adapter.
    ///   - baseModel: what PEFT is told to load the adapter onto; nil for the path in the checkpoint.
    ///   - folder: the folder to be written.
    ///   - overwrite: whether an exported adapter at `folder` is replaced.
    /// - Returns: the number of tensors written.
    /// - Throws: `ModelFormatError` if the checkpoint has no adapter, `CheckpointError`; partial output is removed.
    public static func write(
        _ file: CheckpointFile, baseModel: String?, to folder: String, overwrite: Bool
    ) throws -> Int {
        guard let record = file.metadata.adapter else {
            throw ModelFormatError.missing(
                path: file.path, what: "adapter",
                remedy: "only checkpoints of a run with --lora have one; leave out --adapter to export the model")
        }
        let source = try AdapterTensors(file, record)
        let output = try OutputFolder(folder, overwrite: overwrite)
        do {
            let name = "adapter_model.safetensors"
            try SafetensorsWriter.write(
                source.tensors, from: source, to: output.file(name), reportedAs: "\(output.path)/\(name)",
                progress: nil)
            let base = baseModel ?? record.basePath
            let config = configuration(record, file, baseModel: base)
            try output.write((config.serialized(indent: 2) + "\n").utf8, as: "adapter_config.json")
            let texts = try HuggingFaceTexts(
                file.metadata, source.tensors, name: FilePath.name(of: folder), base: base)
            // A configuration beside the adapter would make the folder a model for transformers.
            for (name, bytes) in texts.files where !name.hasSuffix("config.json") || name.hasPrefix("tokenizer") {
                try output.write(bytes, as: name)
            }
            try output.commit()
        } catch {
            output.discard()
            throw error
        }
        return source.tensors.count
    }

    /// The adapter's matrices and rows under PEFT's names.
    private struct AdapterTensors: TensorSource {
        let tensors: [TensorDescription]
        private let file: CheckpointFile
        private let matrices: [String: StoredTensor]
        /// The bytes of rows.
        private var rows: [String: [UInt8]] = [:]

        init(_ file: CheckpointFile, _ record: AdapterRecord) throws {
            self.file = file
            var tensors: [TensorDescription] = []
            var matrices: [String: StoredTensor] = [:]
            for tensor in file.tensors(in: .adapter) where AdapterRecord.matrix(named: tensor.description.name) != nil {
                var description = tensor.description
                description.name = prefix + description.name
                tensors.append(description)
                matrices[description.name] = tensor
            }
            for weight in PEFTExport.rowWeights(file, record) {
                let name = prefix + PEFTExport.module(of: weight) + rowsSuffix
                if let trained = file.tensor(weight.description.name, in: .adapter) {
                    var description = trained.description
                    description.name = name
                    tensors.append(description)
                    matrices[name] = trained
                    continue
                }
                let description = weight.description
                let rowBytes = description.byteCount / max(description.shape[0], 1)
                var bytes = [UInt8](repeating: 0, count: record.rows.count * rowBytes)
                try bytes.withUnsafeMutableBytes { buffer in
                    for (place, row) in record.rows.enumerated() {
                        let target = UnsafeMutableRawBufferPointer(
                            rebasing: buffer[place * rowBytes..<(place + 1) * rowBytes])
                        try file.read(weight, range: row * rowBytes..<(row + 1) * rowBytes, into: target)
                    }
                }
                tensors.append(
                    TensorDescription(
                        name: name, elementType: description.elementType,
                        shape: [record.rows.count, description.shape[1]]))
                rows[name] = bytes
            }
            self.tensors = tensors
            self.matrices = matrices
        }

        func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
            if let bytes = rows[name] {
                bytes.withUnsafeBytes { destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
            } else if let tensor = matrices[name] {
                try file.read(tensor, range: range, into: destination)
            } else {
                throw CheckpointError.noTensor(path: file.path, name: name)
            }
        }
    }

    private static func module(of tensor: StoredTensor) -> String {
        String(tensor.description.name.dropLast(".weight".count))
    }

    /// The matrices whose rows are trained; a tied head is not stored.
    private static func rowWeights(_ file: CheckpointFile, _ record: AdapterRecord) -> [StoredTensor] {
        record.rows.isEmpty ? [] : AdapterRecord.rowWeights.compactMap { file.tensor($0) }
    }

    private static func configuration(_ record: AdapterRecord, _ file: CheckpointFile, baseModel: String) -> JSON {
        let rows = rowWeights(file, record)
        let indices = JSON.array(record.rows.map(JSON.integer))
        // A list means the input embedding, and a head that is tied to it.
        let byModule = rows.map { (module(of: $0).split(separator: ".").last.map(String.init) ?? "", indices) }
        let members: [(String, JSON)] = [
            ("alpha_pattern", [:]), ("auto_mapping", .null), ("base_model_name_or_path", .string(baseModel)),
            ("bias", "none"), ("fan_in_fan_out", false), ("inference_mode", true), ("init_lora_weights", true),
            ("layers_pattern", .null), ("layers_to_transform", .null), ("lora_alpha", .double(record.alpha)),
            ("lora_dropout", .double(record.dropout)), ("modules_to_save", .null), ("peft_type", "LORA"),
            ("r", .integer(record.rank)), ("rank_pattern", [:]), ("revision", .null),
            ("target_modules", .array(targetModules(record, file).map(JSON.string))), ("task_type", "CAUSAL_LM"),
            (
                "trainable_token_indices",
                rows.isEmpty ? .null : rows.count == 1 ? indices : .object(JSONObject(byModule))
            ),
            ("use_dora", false), ("use_rslora", .bool(record.usesRankStabilizedScaling)),
        ]
        return .object(JSONObject(members))
    }

    /// The targets, or the full names of all modules if not every module of these names has an adapter.
    private static func targetModules(_ record: AdapterRecord, _ file: CheckpointFile) -> [String] {
        let modules = file.tensors(in: .adapter).compactMap { tensor in
            AdapterRecord.matrix(named: tensor.description.name).flatMap { $0.matrix == .a ? $0.module : nil }
        }
        let adapted = Set(modules)
        let names = file.tensors().map { $0.description.name }
        let isComplete = !names.contains { name in
            guard name.hasSuffix(".weight") else { return false }
            let module = String(name.dropLast(".weight".count))
            return record.targets.contains(module.split(separator: ".").last.map(String.init) ?? "")
                && !adapted.contains(module)
        }
        return isComplete ? record.targets : modules
    }
}
