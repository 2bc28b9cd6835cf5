import OrderedJSON

/// Writes a model as a folder for transformers (4 and 5), vLLM and similar programs.
public enum HuggingFaceExport {
    /// Writes a new folder with safetensors weights, `config.json`, `generation_config.json`, the tokenizer's
    /// files and a model card.
    ///
    /// The folder gets its name only when it is complete and flushed to the disk.
    ///
    /// - Parameters:
    ///   - metadata: Configuration, tokenizer, chat template and ties of the model.
    ///   - source: The tensors under their Hugging Face names; `ConvertedTensors` changes their type.
    ///   - folder: The folder to be written.
    ///   - overwrite: Whether an exported model at `folder` is replaced.
    ///   - maximumShardBytes: The maximum size of a shard, unless a single tensor is larger.
    ///   - progress: Called with the tensor bytes written so far, from several threads.
    /// - Throws: `ModelFormatError`, `CheckpointError`, or an error of `source`; partial output is removed.
    public static func write(
        _ metadata: CheckpointMetadata, _ source: any TensorSource, to folder: String, overwrite: Bool,
        maximumShardBytes: Int = 5_000_000_000, progress: (@Sendable (Int) -> Void)? = nil
    ) throws {
        let texts = try HuggingFaceTexts(metadata, source.tensors, name: FilePath.name(of: folder))
        let output = try OutputFolder(folder, overwrite: overwrite)
        do {
            try writeWeights(source, to: output, maximumShardBytes, progress)
            for (name, bytes) in texts.files { try output.write(bytes, as: name) }
            try output.commit()
        } catch {
            output.discard()
            throw error
        }
    }

    /// Writes all tensors as one safetensors file, which gets its name only when it is complete.
    ///
    /// - Throws: `CheckpointError`, or an error of `source`; partial output is removed.
    public static func writeFile(
        _ source: any TensorSource, to path: String, overwrite: Bool, progress: (@Sendable (Int) -> Void)? = nil
    ) throws {
        let file = try AtomicFile(path, overwrite: overwrite)
        do {
            try SafetensorsWriter.write(
                source.tensors, from: source, to: file.temporaryPath, reportedAs: path, progress: progress)
            try file.commit()
        } catch {
            file.discard()
            throw error
        }
    }

    private static func writeWeights(
        _ source: any TensorSource, to output: OutputFolder, _ maximumShardBytes: Int,
        _ progress: (@Sendable (Int) -> Void)?
    ) throws {
        let shards = shards(source.tensors, maximumByteCount: maximumShardBytes)
        var map = JSONObject()
        var done = 0
        for (index, tensors) in shards.enumerated() {
            let number = "\(zeroPadded(index + 1, digits: 5))-of-\(zeroPadded(shards.count, digits: 5))"
            let name = shards.count == 1 ? "model.safetensors" : "model-\(number).safetensors"
            let before = done
            try SafetensorsWriter.write(
                tensors, from: source, to: output.file(name), reportedAs: "\(output.path)/\(name)",
                progress: { written in progress?(before + written) })
            for tensor in tensors {
                map[tensor.name] = .string(name)
                done += tensor.byteCount
            }
        }
        guard shards.count > 1 else { return }
        let index = JSON.object(
            JSONObject([
                ("metadata", .object(JSONObject([("total_size", .integer(done))]))), ("weight_map", .object(map)),
            ]))
        try output.write((index.serialized(indent: 2) + "\n").utf8, as: "model.safetensors.index.json")
    }

    /// The tensors in the order of the model, divided into shards that are as full as the limit allows.
    private static func shards(_ tensors: [TensorDescription], maximumByteCount: Int) -> [[TensorDescription]] {
        var shards: [[TensorDescription]] = [[]]
        var byteCount = 0
        for tensor in tensors.sorted(by: ModelOrder.areInOrder) {
            if !shards[shards.count - 1].isEmpty, byteCount + tensor.byteCount > maximumByteCount {
                shards.append([])
                byteCount = 0
            }
            shards[shards.count - 1].append(tensor)
            byteCount += tensor.byteCount
        }
        return shards
    }
}
