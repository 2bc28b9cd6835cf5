import OrderedJSON

/// Makes sense of an HDF5 tree as a checkpoint: sorts tensors from records, refuses what the layout does not have,
/// and checks both digests.
struct CheckpointContent {
    private(set) var metadata: CheckpointMetadata
    private(set) var digest: String
    private(set) var tensors: [TensorGroup: [StoredTensor]]

    init(_ root: HDF5Group, _ source: HDF5Source, _ reader: ChunkReader, checkingDigests: Bool) throws {
        var scan = CheckpointScan(source, reader)
        try scan.checkVersion(root)
        try scan.group(root, "")
        let recorded = try scan.digests(areChecked: checkingDigests)
        metadata = try scan.metadata()
        digest = recorded
        tensors = scan.tensors
    }
}

/// The walk over the tree of one file.
private struct CheckpointScan {
    private let source: HDF5Source
    private let reader: ChunkReader
    private(set) var tensors: [TensorGroup: [StoredTensor]] = [:]
    /// Every dataset that is no tensor and every attribute, by `path` or `path@name`.
    private var values: [String: HDF5Value] = [:]
    private var groups: Set<String> = []
    private var state = ManifestDigest()
    private var manifest = ManifestDigest()
    private var valueBytes = 0
    private var tensorBytes = 0

    /// Bytes that all datasets but tensors may have together.
    private static let maximumValueBytes = 128 << 20
    /// How often larger than the file its tensors may be, where they exceed `unlimitedTensorBytes`.
    private static let maximumRatio = 1000
    private static let unlimitedTensorBytes = 4 << 30

    init(_ source: HDF5Source, _ reader: ChunkReader) {
        self.source = source
        self.reader = reader
    }

    /// Refuses other formats and newer versions before anything of theirs can be misunderstood.
    func checkVersion(_ root: HDF5Group) throws {
        let attributes = Dictionary(root.attributes) { first, _ in first }
        guard attributes["format"]?.text == CheckpointLayout.format else {
            throw unsupported("/", "lacks the attribute format=\"ckpt\"")
        }
        guard let version = attributes["format_version"]?.integer, version >= 1 else {
            throw damaged("/", "has no format_version")
        }
        guard version <= CheckpointLayout.version else {
            throw CheckpointError.newerVersion(path: source.path, version: version)
        }
    }

    mutating func group(_ group: HDF5Group, _ path: String) throws {
        groups.insert(path)
        for (name, value) in group.attributes { try add(attribute: name, of: path.isEmpty ? "/" : path, value) }
        for (name, node) in group.members {
            let place = "\(path)/\(name)"
            switch node {
            case .dataset(let dataset):
                if let group = TensorGroup.allCases.first(where: { place.hasPrefix($0.path + "/") }) {
                    try tensor(dataset, place, group)
                } else {
                    try record(dataset, place)
                }
            case .group(let inner):
                guard CheckpointShape.allowsGroup(place) else {
                    throw unsupported(place, "is a group that a checkpoint does not have")
                }
                try self.group(inner, place)
            }
        }
    }

    private mutating func add(attribute name: String, of path: String, _ value: HDF5Value) throws {
        let key = "\(path)@\(name)"
        guard CheckpointShape.allowsAttribute(name, of: path) else {
            throw unsupported(path, "has an attribute \(name) that a checkpoint does not have")
        }
        values[key] = value
        if key != "/@record_digest" { manifest.add(path: key, value) }
    }

    private mutating func tensor(_ dataset: HDF5Dataset, _ path: String, _ group: TensorGroup) throws {
        guard case .element(let type) = dataset.type else { throw unsupported(path, "is a tensor of texts") }
        let relativePath = String(decoding: path.utf8.dropFirst(group.path.utf8.count + 1), as: UTF8.self)
        let name = CheckpointLayout.tensorName(ofPath: relativePath)
        guard !relativePath.utf8.contains(UInt8(ascii: ".")) else {
            throw unsupported(path, "has a dot in its name; names are cut into groups at dots")
        }
        if let problem = CheckpointLayout.problem(withTensorName: name) { throw unsupported(path, problem) }
        var attributes: [String: String] = [:]
        for (name, value) in dataset.attributes {
            guard name == "sha256" || name == "dtype", let text = value.text else {
                throw unsupported(path, "has an attribute \(name) that a tensor does not have")
            }
            attributes[name] = text
            manifest.add(path: "\(path)@\(name)", value)
        }
        guard let sha256 = attributes["sha256"] else { throw damaged(path, "has no sha256") }
        guard attributes["dtype"] == type.rawValue else {
            throw damaged(path, "is stored as \(type.rawValue), its dtype is \(attributes["dtype"] ?? "missing")")
        }
        let description = TensorDescription(name: name, elementType: type, shape: dataset.shape ?? [])
        tensorBytes += min(description.byteCount, Int.max / 2 - tensorBytes)
        let limit = max(Self.unlimitedTensorBytes, Self.maximumRatio * source.byteCount)
        guard tensorBytes <= limit else {
            throw unsupported(path, "its tensors would be \(Self.maximumRatio) times as large as the file")
        }
        let storage: TensorStorage
        var chunks: [StoredChunk] = []
        switch dataset.storage {
        case .contiguous(let address, _): storage = .contiguous(address)
        case .chunked(let grid, let filters, let stored):
            storage = .chunked(grid, filters)
            chunks = stored
        }
        let tensor = StoredTensor(
            group: group, description: description, sha256: sha256, storage: storage, chunks: chunks)
        state.add(tensor)
        tensors[group, default: []].append(tensor)
    }

    private mutating func record(_ dataset: HDF5Dataset, _ path: String) throws {
        guard CheckpointShape.allowsDataset(path), dataset.attributes.isEmpty else {
            throw unsupported(path, "is not a dataset that a checkpoint has")
        }
        let byteCount = checkedByteCount(dataset.shape ?? [], HDF5Value.storedByteCount(of: dataset.type)) ?? Int.max
        guard byteCount <= Self.maximumValueBytes - valueBytes else {
            throw unsupported(path, "is larger than a checkpoint's metadata may be")
        }
        valueBytes += byteCount
        let value: HDF5Value
        do {
            value = try HDF5Value(dataset.type, dataset.shape, try bytes(of: dataset, byteCount))
        } catch let problem as HDF5Problem {
            throw problem.located(path: source.path, place: path)
        } catch let problem as ZstdProblem {
            throw damaged(path, problem.description)
        }
        values[path] = value
        manifest.add(path: path, value)
    }

    private func bytes(of dataset: HDF5Dataset, _ byteCount: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initialized in
            let target = UnsafeMutableRawBufferPointer(buffer)
            let whole = UnsafeMutableRawBufferPointer(rebasing: target[..<byteCount])
            switch dataset.storage {
            case .contiguous(let address, _):
                if let address { try reader.readRaw(at: address, into: whole) }
            case .chunked(let grid, let filters, let chunks):
                for (number, chunk) in chunks.enumerated() {
                    _ = try reader.decode(number, grid, filters, chunk, into: whole, isWhole: true)
                }
            }
            initialized = byteCount
        }
    }

    /// Compares both digests with what the file records, and returns the state's.
    mutating func digests(areChecked: Bool) throws -> String {
        guard let digest = values["/@digest"]?.text, let recordDigest = values["/@record_digest"]?.text else {
            throw damaged("/", "has no digest or record_digest")
        }
        guard !areChecked || recordDigest == manifest.value() else {
            throw damaged("/", "the metadata or attributes do not have the recorded record_digest")
        }
        guard !areChecked || digest == state.value() else {
            throw damaged("/", "the list of tensors does not have the recorded digest")
        }
        for group in TensorGroup.allCases {
            tensors[group]?.sort { $0.description.name.utf8.lexicographicallyPrecedes($1.description.name.utf8) }
        }
        return digest
    }

    func metadata() throws -> CheckpointMetadata {
        guard groups.contains("/weights") else { throw damaged("/", "has no group weights") }
        let kind = try text("/@kind")
        guard let kind = CheckpointKind(rawValue: kind) else {
            throw unsupported("/", "is a checkpoint of kind \(kind)")
        }
        return CheckpointMetadata(
            kind: kind, step: try integer("/@step"), createdBy: try text("/@created_by"),
            config: try text("/config"), generationConfig: try optionalText("/generation_config"),
            chatTemplate: try optionalText("/chat_template"), tokenizer: try tokenizer(),
            tiedTensors: try tiedTensors(), optimizer: try optimizer(),
            trainingState: try optionalText("/training/state"), history: try history(), probes: try probes(),
            lineage: try lineage())
    }

    private func tokenizer() throws -> TokenizerRecord? {
        guard groups.contains("/tokenizer") else { return nil }
        guard let json = values["/tokenizer/json"], json.type == .element(.uint8), json.shape?.count == 1 else {
            throw damaged("/tokenizer/json", "is no array of bytes")
        }
        let table = "/tokenizer/added_tokens"
        let ids = try integers(table + "/id")
        let contents = try texts(table + "/content")
        let special = try booleans(table + "/special")
        let trained = try booleans(table + "/trained")
        guard [contents.count, special.count, trained.count].allSatisfy({ $0 == ids.count }) else {
            throw damaged(table, "its columns do not have one length")
        }
        let tokens = ids.indices.map {
            AddedTokenRecord(id: ids[$0], content: contents[$0], special: special[$0], trained: trained[$0])
        }
        return TokenizerRecord(
            json: json.bytes, config: try optionalText("/tokenizer/config"), addedTokens: tokens,
            thinkID: try optionalInteger("/tokenizer@think_id"),
            thinkEndID: try optionalInteger("/tokenizer@think_end_id"),
            shortID: try optionalInteger("/tokenizer@short_id"))
    }

    private func tiedTensors() throws -> [String: String] {
        guard let text = try optionalText("/weights@tied") else { return [:] }
        guard let members = try? JSON.parse(text).object else {
            throw damaged("/weights", "the attribute tied is no JSON object")
        }
        let stored = Set((tensors[.weights] ?? []).map(\.description.name))
        var tied: [String: String] = [:]
        for (name, target) in members {
            guard let target = target.string, stored.contains(target), !stored.contains(name) else {
                throw damaged("/weights", "\(name) is tied to a tensor that is not stored, or stored itself")
            }
            tied[name] = target
        }
        return tied
    }

    private func optimizer() throws -> OptimizerRecord? {
        guard groups.contains("/optimizer") else { return nil }
        guard let betas = values["/optimizer@betas"]?.doubles, betas.count == 2,
            let epsilon = values["/optimizer@eps"]?.double
        else { throw damaged("/optimizer", "lacks betas or eps") }
        return OptimizerRecord(
            step: try integer("/optimizer@step"), beta1: betas[0], beta2: betas[1], epsilon: epsilon)
    }

    private func history() throws -> [String: MetricHistory] {
        var result: [String: MetricHistory] = [:]
        for group in groups where group.hasPrefix("/history/") {
            let metrics = values.keys.filter { $0.hasPrefix(group + "/") }.map { $0.dropFirst(group.count + 1) }
            let names = metrics.map(String.init).sorted()
            let order = try values["\(group)@order"].map { _ in try texts("\(group)@order") } ?? names
            guard order.sorted() == names else { throw damaged(group, "its order is not that of its metrics") }
            let columns = try order.map { name in (name: name, values: try doubles("\(group)/\(name)", rank: 1)) }
            guard let history = MetricHistory(columns: columns) else {
                throw damaged(group, "its metrics do not have one length")
            }
            result[String(group.dropFirst("/history/".count))] = history
        }
        return result
    }

    private func probes() throws -> [ProbeTable] {
        var result: [ProbeTable] = []
        while true {
            let path = result.isEmpty ? "/probe" : "/probe/" + fourDigits(result.count + 1)
            guard groups.contains(path) else { break }
            let prompts = try texts(path + "/prompt")
            let steps = try integers(path + "/step")
            let think = try rows(path + "/p_think", steps.count, prompts.count)
            let short = try rows(path + "/p_short", steps.count, prompts.count)
            let levels = try texts(path + "/level")
            guard levels.count == prompts.count else { throw damaged(path, "its columns do not have one length") }
            result.append(ProbeTable(prompts: prompts, levels: levels, steps: steps, pThink: think, pShort: short))
        }
        guard groups.filter({ $0.hasPrefix("/probe") }).count == result.count else {
            throw damaged("/probe", "its tables are not numbered one after the other")
        }
        return result
    }

    private func rows(_ path: String, _ rowCount: Int, _ columnCount: Int) throws -> [[Double]] {
        let all = try doubles(path, rank: 2)
        guard values[path]?.shape == [rowCount, columnCount] else {
            throw damaged(path, "its shape is not snapshots by prompts")
        }
        return (0..<rowCount).map { Array(all[$0 * columnCount..<($0 + 1) * columnCount]) }
    }

    private func lineage() throws -> [String] {
        let count = values.keys.filter { $0.hasPrefix("/lineage/") }.count
        return try (0..<count).map { try text("/lineage/" + fourDigits($0 + 1)) }
    }

    private func text(_ key: String) throws -> String {
        guard let text = values[key]?.text else { throw damaged(key, "is missing or no text") }
        return text
    }

    private func optionalText(_ key: String) throws -> String? { values[key] == nil ? nil : try text(key) }

    private func texts(_ key: String) throws -> [String] {
        guard let value = values[key], value.shape?.count == 1, let texts = value.texts else {
            throw damaged(key, "is missing or no array of texts")
        }
        return texts
    }

    private func integer(_ key: String) throws -> Int {
        guard let integer = values[key]?.integer else { throw damaged(key, "is missing or no integer") }
        return integer
    }

    private func optionalInteger(_ key: String) throws -> Int? { values[key] == nil ? nil : try integer(key) }

    private func integers(_ key: String) throws -> [Int] {
        guard let value = values[key], value.shape?.count == 1, let integers = value.integers else {
            throw damaged(key, "is missing or no array of integers")
        }
        return integers
    }

    private func doubles(_ key: String, rank: Int) throws -> [Double] {
        guard let value = values[key], value.shape?.count == rank, let doubles = value.doubles else {
            throw damaged(key, "is missing or no array of numbers")
        }
        return doubles
    }

    private func booleans(_ key: String) throws -> [Bool] {
        guard let value = values[key], value.shape?.count == 1, let booleans = value.booleans else {
            throw damaged(key, "is missing or no array of booleans")
        }
        return booleans
    }

    private func damaged(_ place: String, _ problem: String) -> CheckpointError {
        .damaged(path: source.path, place: place, problem: problem)
    }

    private func unsupported(_ place: String, _ problem: String) -> CheckpointError {
        .unsupported(path: source.path, place: place, problem: problem)
    }
}
