import CheckpointIO
import OrderedJSON

/// The facts about a checkpoint that `inspect` shows without reading tensors.
struct CheckpointSummary {
    /// The number, size and types of a set of tensors.
    struct Extent {
        var tensorCount: Int
        var elementCount: Int
        var byteCount: Int
        var storedByteCount: Int
        /// The element types, sorted by the bytes they take, largest first.
        var types: [ElementType]
        /// The number of tensors of each quantised type, most first.
        var quantizations: [(name: String, count: Int)]

        init(_ tensors: [StoredTensor]) {
            tensorCount = tensors.count
            elementCount = tensors.reduce(0) { $0 + $1.description.elementCount }
            byteCount = tensors.reduce(0) { $0 + $1.description.byteCount }
            storedByteCount = tensors.reduce(0) { $0 + $1.storedByteCount }
            let bytes = Dictionary(grouping: tensors, by: \.description.elementType)
                .mapValues { $0.reduce(0) { $0 + $1.description.byteCount } }
            quantizations = Dictionary(grouping: tensors.compactMap(\.quantization), by: \.name)
                .map { ($0.key, $0.value.count) }.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
            types = bytes.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }.map(\.key)
        }

        var json: JSON {
            var json: JSON = [
                "tensors": .integer(tensorCount), "elements": .integer(elementCount), "bytes": .integer(byteCount),
                "stored_bytes": .integer(storedByteCount),
                "dtypes": .array(types.map { .string($0.rawValue) }),
            ]
            if !quantizations.isEmpty {
                json["quantized"] = .object(JSONObject(quantizations.map { ($0.name, .integer($0.count)) }))
            }
            return json
        }
    }

    let file: CheckpointFile
    let weights: Extent
    let optimizer: Extent
    let adapter: Extent
    /// The former values of the weights that the adapter changes.
    let base: Extent
    /// The Hugging Face configuration; null if it is not valid JSON.
    let configuration: JSON

    init(_ file: CheckpointFile) {
        self.file = file
        weights = Extent(file.tensors())
        optimizer = Extent(file.tensors(in: .optimizerM) + file.tensors(in: .optimizerV))
        adapter = Extent(file.tensors(in: .adapter))
        base = Extent(file.tensors(in: .base))
        configuration = (try? JSON.parse(file.metadata.config)) ?? .null
    }

    /// The mean probabilities over the prompts in the last snapshot of the newest probe table that has one.
    var modePreference: (step: Int, promptCount: Int, think: Double, short: Double)? {
        for table in file.metadata.probes.reversed() {
            guard let step = table.steps.last, let think = table.pThink.last, let short = table.pShort.last,
                !think.isEmpty
            else { continue }
            let count = Double(think.count)
            return (step, think.count, think.reduce(0, +) / count, short.reduce(0, +) / count)
        }
        return nil
    }

    var json: JSON {
        let metadata = file.metadata
        func parsed(_ text: String) -> JSON { (try? JSON.parse(text)) ?? .string(text) }
        func object(_ members: [(String, JSON)]) -> JSON { .object(JSONObject(members.sorted { $0.0 < $1.0 })) }
        var json: JSON = [
            "path": .string(file.path), "format": .string(file.origin?.format.rawValue ?? "checkpoint"),
            "kind": .string(metadata.kind.rawValue), "step": .integer(metadata.step),
            "created_by": .string(metadata.createdBy),
            "digest": file.origin == nil ? .string(file.digest) : .null,
            "weights_digest": file.origin == nil ? .string(file.weightsDigest) : .null,
            "file_bytes": .integer(file.fileByteCount),
            "config": configuration, "weights": weights.json,
            "optimizer": metadata.optimizer == nil ? .null : optimizer.json,
            "tied": object(metadata.tiedTensors.map { ($0.key, .string($0.value)) }),
            "tokenizer": metadata.tokenizer.map(Self.json) ?? .null,
            "lineage": .array(metadata.lineage.map(parsed)),
            "training": metadata.trainingState.map(parsed) ?? .null,
            "history": object(metadata.history.map { ($0.key, Self.lastRow(of: $0.value)) }),
            "mode_preference": modePreference.map {
                [
                    "step": .integer($0.step), "prompts": .integer($0.promptCount), "p_think": .double($0.think),
                    "p_short": .double($0.short),
                ]
            } ?? .null,
        ]
        if let origin = file.origin { json["notes"] = .array(origin.notes.map(JSON.string)) }
        if let record = metadata.adapter {
            json["adapter"] = record.json
            json["adapter"]?["matrices"] = adapter.json
            json["adapter"]?["base"] = base.json
        }
        return json
    }

    private static func json(_ tokenizer: TokenizerRecord) -> JSON {
        func number(_ id: Int?) -> JSON { id.map(JSON.integer) ?? .null }
        return [
            "bytes": .integer(tokenizer.json.count), "think_id": number(tokenizer.thinkID),
            "think_end_id": number(tokenizer.thinkEndID), "short_id": number(tokenizer.shortID),
            "added_tokens": .array(
                tokenizer.addedTokens.map {
                    [
                        "id": .integer($0.id), "content": .string($0.content), "special": .bool($0.special),
                        "trained": .bool($0.trained),
                    ]
                }),
        ]
    }

    /// The number of rows and the last value of each metric.
    private static func lastRow(of history: MetricHistory) -> JSON {
        let last = history.names.map { ($0, JSON.double(history[$0]?.last ?? .nan)) }
        return ["rows": .integer(history.rowCount), "last": .object(JSONObject(last))]
    }
}
