/// The weights of a file that keeps only an adapter, and their former values, computed from its base model.
struct AdaptedWeightTensors {
    let weights: [StoredTensor]
    let base: [StoredTensor]

    /// Checks the tensors of `/adapter` against the base; `digests` are the SHA-256 of the weights that they change.
    ///
    /// - Throws: `CheckpointError.damaged` if they do not fit each other.
    init(
        _ base: CheckpointFile, _ record: AdapterRecord, adapter: [StoredTensor], digests: [String: String],
        _ records: RecordReader
    ) throws {
        let own = Dictionary(adapter.map { ($0.description.name, $0) }, uniquingKeysWith: { first, _ in first })
        let stored = base.tensors()
        let descriptions = stored.map(\.description)
        let changed = stored.filter { tensor in digests[tensor.description.name] != nil }
        guard changed.count == digests.count else {
            throw records.damaged(AdapterRecord.adaptedWeightsPath, "names a weight that the base model lacks")
        }
        var former: [(tensor: StoredTensor, rule: ComputedTensor.Rule)] = []
        var rules: [String: ComputedTensor.Rule] = [:]
        for tensor in changed {
            let name = tensor.description.name
            if let rows = own[name], !record.rows.isEmpty {
                rules[name] = .replacedRows(record.rows, rows)
                former.append((tensor, .rows(record.rows)))
                continue
            }
            let module = String(name.dropLast(".weight".count))
            guard name.hasSuffix(".weight"), let a = own[AdapterRecord.name(of: .a, module: module)],
                let b = own[AdapterRecord.name(of: .b, module: module)]
            else { throw records.damaged(AdapterRecord.adaptedWeightsPath, "names \(name), which has no adapter") }
            rules[name] = .product(a: a, b: b, scaling: Float(record.scaling))
            former.append((tensor, .original))
        }
        let originals = former.map { tensor, rule in
            var description = tensor.description
            if case .rows(let rows) = rule { description.shape[0] = rows.count }
            return description
        }
        let misfit = record.misfit { group in
            switch group {
            case .weights: descriptions
            case .adapter: adapter.map(\.description)
            default: originals
            }
        }
        if let misfit { throw records.damaged(misfit.place, misfit.problem) }
        weights = stored.map { tensor in
            let name = tensor.description.name
            return StoredTensor(
                group: .weights, description: tensor.description, sha256: digests[name] ?? tensor.sha256,
                storage: .computed(ComputedTensor(tensor, of: base, rules[name] ?? .original)), chunks: [])
        }
        self.base = try zip(former, originals).map { former, description in
            let computed = ComputedTensor(former.tensor, of: base, former.rule)
            return StoredTensor(
                group: .base, description: description,
                sha256: computed.isOriginal ? former.tensor.sha256 : try Self.sha256(computed, description, base),
                storage: .computed(computed), chunks: [])
        }
    }

    private static func sha256(
        _ tensor: ComputedTensor, _ description: TensorDescription, _ base: CheckpointFile
    ) throws -> String {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: description.byteCount, alignment: 16)
        defer { bytes.deallocate() }
        try tensor.read(0..<description.byteCount, of: base, into: bytes)
        var hash = SHA256()
        hash.update(UnsafeRawBufferPointer(bytes))
        return hash.finalize()
    }
}

extension AdapterRecord {
    /// Files that keep an adapter on a file that keeps an adapter, at most.
    private static let maximumDepth = 8

    /// Opens the base of a file that keeps only the adapter: where it was, or beside the file.
    ///
    /// `depth` files were opened to find their bases already.
    ///
    /// - Throws: `CheckpointError.missingBase`.
    func openBase(of path: String, depth: Int) throws -> CheckpointFile {
        let base = BaseCheckpoint(
            path: path, basePath: basePath, digest: baseDigest, isWhole: false,
            missing: { .missingBase(path: path, base: basePath, digest: baseDigest, reason: $0) })
        guard depth < Self.maximumDepth else {
            throw base.missing("and too many files are adapters of one another")
        }
        return try base.open(depth: depth)
    }
}
