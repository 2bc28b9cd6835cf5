import OrderedJSON

/// One dataset or attribute that is no tensor, as the file stores it.
struct CheckpointRecord: Sendable {
    /// Path of the dataset, or of the object that carries the attribute.
    var path: String
    /// Nil for a dataset.
    var attribute: String?
    var value: HDF5Value
    /// Whether the dataset is stored in compressed chunks.
    var isCompressed = false

    /// The name under which the record digest lists it.
    var digestPath: String { attribute.map { "\(path)@\($0)" } ?? path }
}

/// The metadata of a checkpoint as groups and records, the same for every writer.
struct CheckpointRecords {
    private(set) var groups: [String] = []
    private(set) var records: [CheckpointRecord] = []
    /// Datasets with a text that would end at its NUL character when it is read.
    private var withNUL: [String] = []

    /// - Throws: `CheckpointError.invalid` where the metadata contradict themselves or cannot be stored.
    init(_ metadata: CheckpointMetadata) throws {
        attribute("/", "format", .text(CheckpointLayout.format))
        attribute("/", "format_version", .integer(CheckpointLayout.version))
        attribute("/", "kind", .text(metadata.kind.rawValue))
        attribute("/", "created_by", .text(metadata.createdBy))
        attribute("/", "step", .integer(metadata.step))
        dataset("/config", text: metadata.config)
        if let text = metadata.generationConfig { dataset("/generation_config", text: text) }
        if let text = metadata.chatTemplate { dataset("/chat_template", text: text) }
        groups.append("/weights")
        if !metadata.tiedTensors.isEmpty { attribute("/weights", "tied", .text(Self.json(metadata.tiedTensors))) }
        if let tokenizer = metadata.tokenizer { add(tokenizer) }
        if let optimizer = metadata.optimizer { add(optimizer) }
        if let state = metadata.trainingState {
            groups.append("/training")
            dataset("/training/state", text: state)
        }
        if !metadata.history.isEmpty { groups.append("/history") }
        for (phase, history) in metadata.history.sorted(by: { $0.key < $1.key }) { add(history, phase) }
        for (index, table) in metadata.probes.enumerated() { try add(table, index) }
        if !metadata.lineage.isEmpty { groups.append("/lineage") }
        for (index, text) in metadata.lineage.enumerated() {
            dataset("/lineage/" + fourDigits(index + 1), text: text)
        }
        try check()
    }

    private mutating func dataset(_ path: String, _ value: HDF5Value, isCompressed: Bool = false) {
        records.append(CheckpointRecord(path: path, attribute: nil, value: value, isCompressed: isCompressed))
    }

    private mutating func dataset(_ path: String, text: String) {
        if text.utf8.contains(0) { withNUL.append(path) }
        dataset(path, .text(text))
    }

    private mutating func dataset(_ path: String, texts: [String]) {
        if texts.contains(where: { $0.utf8.contains(0) }) { withNUL.append(path) }
        dataset(path, .texts(texts))
    }

    private mutating func attribute(_ path: String, _ name: String, _ value: HDF5Value) {
        if case .text = value.type, value.shape == nil, value.bytes.dropFirst().contains(0) {
            withNUL.append("\(path)@\(name)")
        }
        records.append(CheckpointRecord(path: path, attribute: name, value: value))
    }

    private mutating func add(_ tokenizer: TokenizerRecord) {
        groups.append("/tokenizer")
        let json = HDF5Value(type: .element(.uint8), shape: [tokenizer.json.count], bytes: tokenizer.json)
        dataset("/tokenizer/json", json, isCompressed: true)
        if let text = tokenizer.config { dataset("/tokenizer/config", text: text) }
        groups.append("/tokenizer/added_tokens")
        let tokens = tokenizer.addedTokens
        dataset("/tokenizer/added_tokens/id", .integers(tokens.map(\.id)))
        dataset("/tokenizer/added_tokens/content", texts: tokens.map(\.content))
        dataset("/tokenizer/added_tokens/special", .booleans(tokens.map(\.special)))
        dataset("/tokenizer/added_tokens/trained", .booleans(tokens.map(\.trained)))
        if let id = tokenizer.thinkID { attribute("/tokenizer", "think_id", .integer(id)) }
        if let id = tokenizer.thinkEndID { attribute("/tokenizer", "think_end_id", .integer(id)) }
        if let id = tokenizer.shortID { attribute("/tokenizer", "short_id", .integer(id)) }
    }

    private mutating func add(_ optimizer: OptimizerRecord) {
        groups += ["/optimizer", "/optimizer/m", "/optimizer/v"]
        attribute("/optimizer", "step", .integer(optimizer.step))
        attribute("/optimizer", "betas", .doubles([optimizer.beta1, optimizer.beta2]))
        attribute("/optimizer", "eps", .double(optimizer.epsilon))
    }

    private mutating func add(_ history: MetricHistory, _ phase: String) {
        let path = "/history/" + phase
        groups.append(path)
        // HDF5 lists names alphabetically; the order in which a person wants to see them is kept beside.
        attribute(path, "order", .texts(history.names))
        for name in history.names { dataset("\(path)/\(name)", .doubles(history[name] ?? [])) }
    }

    private mutating func add(_ table: ProbeTable, _ index: Int) throws {
        guard table.isRectangular else {
            throw CheckpointError.invalid(
                name: "probe table \(index + 1)", problem: "its columns do not have one length")
        }
        let path = index == 0 ? "/probe" : "/probe/" + fourDigits(index + 1)
        groups.append(path)
        dataset(path + "/prompt", texts: table.prompts)
        dataset(path + "/level", texts: table.levels)
        dataset(path + "/step", .integers(table.steps))
        let shape = [table.steps.count, table.prompts.count]
        dataset(path + "/p_think", .doubles(table.pThink.flatMap { $0 }, shape: shape))
        dataset(path + "/p_short", .doubles(table.pShort.flatMap { $0 }, shape: shape))
    }

    private func check() throws {
        if let path = withNUL.first {
            throw CheckpointError.invalid(
                name: path, problem: "a text in a checkpoint must not contain a NUL character")
        }
        for record in records {
            if record.attribute != nil, record.value.bytes.count > Self.maximumAttributeBytes {
                throw CheckpointError.invalid(
                    name: record.digestPath, problem: "an attribute has at most \(Self.maximumAttributeBytes) bytes")
            }
            guard record.path.hasPrefix("/history/") else { continue }
            let parts = record.path.dropFirst("/history/".count).utf8
                .split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            let isPlain = parts.allSatisfy { part in
                !part.isEmpty && part.allSatisfy { $0 > 0x20 && $0 != 0x7f }
                    && !part.elementsEqual(".".utf8) && !part.elementsEqual("..".utf8)
            }
            guard isPlain, parts.count == (record.attribute == nil ? 2 : 1) else {
                throw CheckpointError.invalid(
                    name: record.path,
                    problem: "the name of a metric has no '/', no space and no control character")
            }
        }
    }

    /// HDF5 keeps attributes in the object header, where a message has at most 64 KiB.
    static let maximumAttributeBytes = 60 << 10

    private static func json(_ tied: [String: String]) -> String {
        var members = JSONObject()
        for (name, target) in tied.sorted(by: { $0.key < $1.key }) { members[name] = .string(target) }
        return JSON.object(members).serialized()
    }
}

/// `number` with leading zeros to four digits.
func fourDigits(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
}
