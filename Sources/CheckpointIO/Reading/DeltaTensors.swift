extension DeltaRecord {
    /// The largest number of deltas between a state and the whole checkpoint that their chain begins with.
    ///
    /// To read a tensor, every file of the chain is read.
    package static let longestChain = 64

    /// How the base of the file at a path is found and recognised.
    func base(of path: String) -> BaseCheckpoint {
        BaseCheckpoint(
            path: path, basePath: basePath, digest: baseDigest, isWhole: needsWholeBase,
            missing: { .missingDeltaBase(path: path, base: basePath, digest: baseDigest, reason: $0) })
    }

    /// Opens the base: where it was, or beside the file.
    ///
    /// - Throws: `CheckpointError.missingDeltaBase`.
    func openBase(of path: String, depth: Int) throws -> CheckpointFile {
        let base = base(of: path)
        guard depth < Self.longestChain else { throw base.missing("after more than \(Self.longestChain) deltas") }
        return try base.open(depth: depth)
    }

    /// The groups whose tensors the state may take from its base.
    ///
    /// A file that keeps only an adapter has no other tensors but weights that belong to a plain state.
    static func groups(of base: CheckpointFile, isWhole: Bool) -> [TensorGroup] {
        isWhole && base.metadata.adaptedWeights.isEmpty ? TensorGroup.allCases : [.weights]
    }

    /// The tensors of the state: `own` are those that the file has whole, the others follow from the base.
    ///
    /// - Throws: `CheckpointError.damaged` if the record does not fit the base.
    func tensors(
        _ own: [TensorGroup: [StoredTensor]], _ differences: [DifferenceRows], on base: CheckpointFile,
        _ records: RecordReader
    ) throws -> [TensorGroup: [StoredTensor]] {
        var places = Dictionary(tensors.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
        guard places.count == tensors.count else { throw records.damaged(Self.group, "names a tensor twice") }
        let rows = Dictionary(differences.map { ($0.elementSize, $0) }, uniquingKeysWith: { first, _ in first })
        var removed = Set(self.removed)
        var state = own
        let whole = Set(own.values.joined().map(\.path))
        for tensor in Self.groups(of: base, isWhole: needsWholeBase).flatMap({ base.tensors(in: $0) }) {
            let path = tensor.path
            let place = places.removeValue(forKey: path)
            if removed.remove(path) != nil || whole.contains(path) {
                guard place == nil else { throw records.damaged(path, "is there in two ways") }
                continue
            }
            let description = tensor.description
            var (sha256, rule) = (tensor.sha256, ComputedTensor.Rule.original)
            if let place {
                guard
                    let found = rows[description.elementType.byteCount].flatMap({
                        DifferencePlace(place, elementCount: description.elementCount, in: $0)
                    })
                else { throw records.damaged(path, "has differences at a place that is not there") }
                (sha256, rule) = (place.sha256, .differences(found))
            }
            state[tensor.group, default: []].append(
                StoredTensor(
                    group: tensor.group, description: description, sha256: sha256,
                    storage: .computed(ComputedTensor(tensor, of: base, rule)), chunks: []))
        }
        if let path = places.keys.min() ?? removed.min() {
            throw records.damaged(Self.group, "changes or removes \(path), which the base lacks")
        }
        return state
    }
}
