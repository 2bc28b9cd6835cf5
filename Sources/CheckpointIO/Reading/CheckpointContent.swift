/// The content of a checkpoint, taken from an HDF5 tree.
///
/// Objects that a checkpoint does not have are refused, and both digests are checked.
struct CheckpointContent {
    let metadata: CheckpointMetadata
    let digest: String
    let tensors: [TensorGroup: [StoredTensor]]
    /// nil if the file is not a delta.
    let delta: DeltaRecord?
    /// Files that have to be read before this one.
    let chainLength: Int

    init(
        _ root: HDF5Group, _ source: HDF5Source, _ reader: ChunkReader, checkingDigests: Bool, depth: Int,
        base given: CheckpointFile?
    ) throws {
        var scan = CheckpointScan(source, reader)
        try scan.checkVersion(root)
        try scan.group(root, "")
        delta = try DeltaRecord(from: scan.records)
        var records = scan.records
        var tensors = scan.tensors
        var base: CheckpointFile?
        if let delta {
            try delta.base(of: source.path).check(given)
            let found = try given ?? delta.openBase(of: source.path, depth: depth)
            guard found.chainLength < DeltaRecord.longestChain else {
                throw CheckpointError.missingDeltaBase(
                    path: source.path, base: delta.basePath, digest: delta.baseDigest,
                    reason: "which comes after \(DeltaRecord.longestChain) deltas already")
            }
            tensors = try delta.tensors(scan.tensors, scan.differences, on: found, records)
            records = try RecordReader(state: delta, from: records, base: try RecordWriter(found.metadata))
            base = found
        } else if let first = scan.differences.first {
            throw records.damaged(first.path, "belongs to no delta")
        }
        digest = try scan.checkDigests(areChecked: checkingDigests, of: tensors)
        let digests = try AdapterRecord.adaptedWeights(from: records)
        if !digests.isEmpty {
            guard let record = try AdapterRecord(from: records), tensors[.weights] == nil else {
                throw records.damaged(
                    AdapterRecord.adaptedWeightsPath, "belongs to no adapter, or the file has weights as well")
            }
            let model = try record.openBase(of: source.path, depth: depth)
            let computed = try AdaptedWeightTensors(
                model, record, adapter: tensors[.adapter] ?? [], digests: digests, records)
            tensors[.weights] = computed.weights
            tensors[.base] = computed.base
            base = model
        }
        chainLength = base.map { $0.chainLength + 1 } ?? 0
        for group in tensors.keys {
            tensors[group]?.sort { $0.description.name.utf8.lexicographicallyPrecedes($1.description.name.utf8) }
        }
        self.tensors = tensors
        metadata = try CheckpointMetadata(
            from: records, storedTensors: Set((tensors[.weights] ?? []).map(\.description.name)))
        if digests.isEmpty, let misfit = metadata.adapter?.misfit({ (tensors[$0] ?? []).map(\.description) }) {
            throw records.damaged(misfit.place, misfit.problem)
        }
    }
}

/// Walks over the tree of a file, and separates tensors from records.
private struct CheckpointScan {
    private let source: HDF5Source
    private let reader: ChunkReader
    private(set) var tensors: [TensorGroup: [StoredTensor]] = [:]
    /// Every attribute, and every dataset that is not a tensor.
    private(set) var records: RecordReader
    /// The differences of a delta.
    private(set) var differences: [DifferenceRows] = []
    private var manifest = ManifestDigest()
    private var valueBytes = 0
    private var tensorBytes = 0

    /// Maximum ratio of the tensors' size to the file's size, checked above `unlimitedTensorBytes`.
    private static let maximumRatio = 1000
    private static let unlimitedTensorBytes = 4 << 30

    init(_ source: HDF5Source, _ reader: ChunkReader) {
        self.source = source
        self.reader = reader
        records = RecordReader(filePath: source.path)
    }

    /// Refuses other formats and newer versions before their content can be misinterpreted.
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
        records.add(group: path)
        for (name, value) in group.attributes { try add(attribute: name, of: path.isEmpty ? "/" : path, value) }
        for (name, node) in group.members {
            let place = "\(path)/\(name)"
            switch node {
            case .dataset(let dataset):
                if let group = TensorGroup.allCases.first(where: { place.hasPrefix($0.path + "/") }) {
                    try tensor(dataset, place, group)
                } else if let rows = DifferenceRows(dataset, path: place) {
                    differences.append(rows)
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
        records.add(key, value)
        if key != "/@record_digest" { manifest.add(path: key, value) }
    }

    private mutating func tensor(_ dataset: HDF5Dataset, _ path: String, _ group: TensorGroup) throws {
        guard case .element(let type) = dataset.type else { throw unsupported(path, "is a tensor of texts") }
        let relativePath = String(decoding: path.utf8.dropFirst(group.path.utf8.count + 1), as: UTF8.self)
        let name = CheckpointLayout.tensorName(ofPath: relativePath)
        guard !relativePath.utf8.contains(UInt8(ascii: ".")) else {
            throw unsupported(path, "has a dot in its name, but names are split into groups at dots")
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
            throw damaged(path, "is stored as \(type.rawValue), but its dtype is \(attributes["dtype"] ?? "missing")")
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
        tensors[group, default: []].append(tensor)
    }

    private mutating func record(_ dataset: HDF5Dataset, _ path: String) throws {
        guard CheckpointShape.allowsDataset(path), dataset.attributes.isEmpty else {
            throw unsupported(path, "is not a dataset that a checkpoint has")
        }
        let byteCount = checkedByteCount(dataset.shape ?? [], dataset.type.byteCount) ?? Int.max
        guard byteCount <= CheckpointLayout.maximumRecordBytes - valueBytes else {
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
        records.add(path, value)
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

    /// Compares both digests with the recorded ones, and returns that of the state, which has these tensors.
    func checkDigests(areChecked: Bool, of tensors: [TensorGroup: [StoredTensor]]) throws -> String {
        guard let digest = records.values["/@digest"]?.text,
            let recordDigest = records.values["/@record_digest"]?.text
        else { throw damaged("/", "has no digest or record_digest") }
        guard areChecked else { return digest }
        guard recordDigest == manifest.value() else {
            throw damaged("/", "the metadata or attributes do not have the recorded record_digest")
        }
        var state = ManifestDigest()
        for tensor in tensors.values.joined() { state.add(tensor) }
        guard digest == state.value() else {
            throw damaged("/", "the list of tensors does not have the recorded digest")
        }
        return digest
    }

    private func damaged(_ place: String, _ problem: String) -> CheckpointError { records.damaged(place, problem) }

    private func unsupported(_ place: String, _ problem: String) -> CheckpointError {
        records.unsupported(place, problem)
    }
}
