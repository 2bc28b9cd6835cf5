import OrderedJSON

/// The top level of the metadata; the larger sections are coded in the files of their types.
extension CheckpointMetadata {
    /// Decodes the metadata; `storedTensors` are the names of the model's tensors.
    init(from records: RecordReader, storedTensors: Set<String>) throws {
        guard records.groups.contains("/weights") else { throw records.damaged("/", "has no group weights") }
        let kind = try records.text("/@kind")
        guard let kind = CheckpointKind(rawValue: kind) else {
            throw records.unsupported("/", "is a checkpoint of kind \(kind)")
        }
        self.init(
            kind: kind, step: try records.counter("/@step"), createdBy: try records.text("/@created_by"),
            config: try records.text("/config"), generationConfig: try records.optionalText("/generation_config"),
            chatTemplate: try records.optionalText("/chat_template"), tokenizer: try TokenizerRecord(from: records),
            tiedTensors: try Self.tiedTensors(from: records, storedTensors),
            optimizer: try OptimizerRecord(from: records), adapter: try AdapterRecord(from: records),
            adaptedWeights: try AdapterRecord.adaptedWeights(from: records),
            trainingState: try records.optionalText("/training/state"), history: try MetricHistory.all(from: records),
            probes: try ProbeTable.all(from: records), lineage: try Self.lineage(from: records))
    }

    /// Encodes the metadata, in the order in which the records are stored.
    func write(to records: inout RecordWriter) throws {
        records.attribute("/", "format", .text(CheckpointLayout.format))
        records.attribute("/", "format_version", .integer(CheckpointLayout.version))
        records.attribute("/", "kind", .text(kind.rawValue))
        records.attribute("/", "created_by", text: createdBy)
        records.attribute("/", "step", .integer(step))
        records.dataset("/config", text: config)
        records.dataset("/generation_config", text: generationConfig)
        records.dataset("/chat_template", text: chatTemplate)
        records.group("/weights")
        writeTiedTensors(to: &records)
        tokenizer?.write(to: &records)
        optimizer?.write(to: &records)
        adapter?.write(to: &records, adaptedWeights: adaptedWeights)
        if trainingState != nil { records.group("/training") }
        records.dataset("/training/state", text: trainingState)
        try MetricHistory.write(history, to: &records)
        try ProbeTable.write(probes, to: &records)
        writeLineage(to: &records)
    }

    // MARK: - Tied tensors

    private static func tiedTensors(
        from records: RecordReader, _ storedTensors: Set<String>
    ) throws -> [String: String] {
        guard let text = try records.optionalText("/weights@tied") else { return [:] }
        guard let members = try? JSON.parse(text).object else {
            throw records.damaged("/weights", "the attribute tied is not a JSON object")
        }
        var tied: [String: String] = [:]
        for (name, target) in members {
            guard let target = target.string, storedTensors.contains(target), !storedTensors.contains(name) else {
                throw records.damaged("/weights", "\(name) is tied to a tensor that is not stored, or stored itself")
            }
            tied[name] = target
        }
        return tied
    }

    private func writeTiedTensors(to records: inout RecordWriter) {
        guard !tiedTensors.isEmpty else { return }
        var members = JSONObject()
        for (name, target) in tiedTensors.sorted(by: { $0.key < $1.key }) { members[name] = .string(target) }
        records.attribute("/weights", "tied", text: JSON.object(members).serialized())
    }

    // MARK: - Lineage

    private static func lineage(from records: RecordReader) throws -> [String] {
        let count = records.values.keys.filter { $0.hasPrefix("/lineage/") }.count
        return try (0..<count).map { try records.text("/lineage/" + zeroPadded($0 + 1, digits: 4)) }
    }

    private func writeLineage(to records: inout RecordWriter) {
        if !lineage.isEmpty { records.group("/lineage") }
        for (index, text) in lineage.enumerated() {
            records.dataset("/lineage/" + zeroPadded(index + 1, digits: 4), text: text)
        }
    }
}
