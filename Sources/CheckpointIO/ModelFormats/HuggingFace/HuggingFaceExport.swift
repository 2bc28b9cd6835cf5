import OrderedJSON

/// Writes a model as a folder that transformers (4 and 5), vLLM and their kin load.
public enum HuggingFaceExport {
    /// Writes `model.safetensors`, or shards with an index, `config.json`, `generation_config.json` and the
    /// tokenizer's files into a new folder, which gets its name only when it is complete and on the disk.
    ///
    /// - Parameters:
    ///   - source: the tensors under their Hugging Face names, tied ones once; see `ConvertedTensors` for another type.
    ///   - maximumShardBytes: a shard has more only where a single tensor does.
    ///   - progress: gets the tensor bytes written so far, from several threads.
    /// - Throws: `ModelFormatError`, or what `source` throws; nothing is left behind.
    public static func write(
        _ metadata: CheckpointMetadata, _ source: any TensorSource, to folder: String, overwrite: Bool,
        maximumShardBytes: Int = 5_000_000_000, progress: (@Sendable (Int) -> Void)? = nil
    ) throws {
        let texts = try HuggingFaceTexts(metadata, source.tensors)
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

    private static func writeWeights(
        _ source: any TensorSource, to output: OutputFolder, _ maximumShardBytes: Int,
        _ progress: (@Sendable (Int) -> Void)?
    ) throws {
        let shards = shards(source.tensors, maximumByteCount: maximumShardBytes)
        var map = JSONObject()
        var done = 0
        for (index, tensors) in shards.enumerated() {
            let name =
                shards.count == 1
                ? "model.safetensors" : "model-\(fiveDigits(index + 1))-of-\(fiveDigits(shards.count)).safetensors"
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

    /// The tensors in the order of the model, cut into shards as full as the limit allows.
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

    private static func fiveDigits(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, 5 - text.count)) + text
    }
}
