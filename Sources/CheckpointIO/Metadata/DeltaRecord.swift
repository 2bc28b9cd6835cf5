/// What a delta says about the state it stands for and about its base, apart from the differences themselves.
public struct DeltaRecord: Sendable, Equatable {
    /// Whether a model or a training state results.
    public var kind: CheckpointKind
    /// The digest of the base: of its weights alone, or of all its tensors if `needsWholeBase`.
    public var baseDigest: String
    /// Whether tensors other than weights are taken from the base as well.
    public var needsWholeBase: Bool
    /// Where the base was.
    public var basePath: String
    /// The digest of the state's metadata, which shows whether that of the base is still the same.
    var metadataDigest: String
    /// The tensors that are stored as differences.
    public var tensors: [Tensor]
    /// The paths of tensors of the base that the state lacks.
    var removed: [String]
    /// The paths of records that are the base's.
    var kept: [String]
    /// The paths of records whose first rows are the base's; the file has the others.
    var continued: [String]

    /// Elements that differ from the base's, of the tensors that are stored as differences.
    public var changedElementCount: Int { tensors.reduce(0) { $0 + $1.changedElements } }

    /// A tensor that is stored as the differences of its elements from those of the base.
    public struct Tensor: Sendable, Equatable {
        /// The path that the tensor has in a whole checkpoint.
        public var path: String
        /// The SHA-256 of the tensor's bytes.
        public var sha256: String
        /// The elements that differ.
        public var changedElements: Int
        /// The first row of `/delta/differences…` that has differences of the tensor.
        var row: Int
        /// Where in that row they begin.
        var column: Int
        /// The elements of a row; the last row of the tensor may have fewer.
        var rowElements: Int
    }
}

extension DeltaRecord {
    static let group = "/delta"
    /// The value of the root's attribute `kind`.
    static let kindName = "delta"
    private static let table = group + "/tensors"
    private static let metadataDigestKey = "metadata_digest"

    /// The dataset of differences of elements of a size in bytes.
    static func differencesPath(elementSize: Int) -> String { "\(group)/differences\(8 * elementSize)" }

    /// The element sizes that there are.
    static let elementSizes = [1, 2, 4, 8]

    static func allowsGroup(_ path: String) -> Bool { path == group || path == table }

    static func allowsDataset(_ path: String) -> Bool {
        [
            group + "/removed", group + "/kept", group + "/continued", table + "/path", table + "/sha256",
            table + "/changed", table + "/row", table + "/column", table + "/row_elements",
        ].contains(path)
    }

    static func allowsAttribute(_ name: String, of path: String) -> Bool {
        path == group && ["kind", "base_digest", "base_digest_of", "base_path", metadataDigestKey].contains(name)
    }

    /// Decodes the record; nil if the file is not a delta.
    init?(from records: RecordReader) throws {
        let isDelta = records.values["/@kind"]?.text == Self.kindName
        guard records.groups.contains(Self.group) == isDelta else {
            throw records.damaged(Self.group, "is there, or missing, though the kind says otherwise")
        }
        guard isDelta else { return nil }
        func attribute(_ name: String) throws -> String { try records.text("\(Self.group)@\(name)") }
        func optionalTexts(_ name: String) throws -> [String] {
            let path = "\(Self.group)/\(name)"
            return records.values[path] == nil ? [] : try records.texts(path)
        }
        guard let kind = CheckpointKind(rawValue: try attribute("kind")) else {
            throw records.damaged(Self.group, "has a kind that is neither model nor training")
        }
        let scope = try attribute("base_digest_of")
        let (baseDigest, basePath) = (try attribute("base_digest"), try attribute("base_path"))
        guard ["weights", "state"].contains(scope), SHA256.isDigest(baseDigest), !basePath.isEmpty else {
            throw records.damaged(Self.group, "has a base_digest, base_digest_of or base_path that cannot be")
        }
        self.init(
            kind: kind, baseDigest: baseDigest, needsWholeBase: scope == "state", basePath: basePath,
            metadataDigest: try attribute(Self.metadataDigestKey), tensors: try Self.tensors(from: records),
            removed: try optionalTexts("removed"), kept: try optionalTexts("kept"),
            continued: try optionalTexts("continued"))
    }

    private static func tensors(from records: RecordReader) throws -> [Tensor] {
        guard records.groups.contains(table) else { return [] }
        let paths = try records.texts(table + "/path")
        let digests = try records.texts(table + "/sha256")
        let numbers = try ["changed", "row", "column", "row_elements"].map { try records.counters("\(table)/\($0)") }
        guard digests.count == paths.count, numbers.allSatisfy({ $0.count == paths.count }) else {
            throw records.damaged(table, "has columns of different lengths")
        }
        guard digests.allSatisfy(SHA256.isDigest) else {
            throw records.damaged(table + "/sha256", "has a text that is not a digest")
        }
        return paths.indices.map { index in
            Tensor(
                path: paths[index], sha256: digests[index], changedElements: numbers[0][index],
                row: numbers[1][index], column: numbers[2][index], rowElements: numbers[3][index])
        }
    }

    func write(to records: inout RecordWriter) {
        records.group(Self.group)
        records.attribute(Self.group, "kind", text: kind.rawValue)
        records.attribute(Self.group, "base_digest", text: baseDigest)
        records.attribute(Self.group, "base_digest_of", text: needsWholeBase ? "state" : "weights")
        records.attribute(Self.group, "base_path", text: basePath)
        records.attribute(Self.group, Self.metadataDigestKey, text: metadataDigest)
        for (name, paths) in [("removed", removed), ("kept", kept), ("continued", continued)] where !paths.isEmpty {
            records.dataset("\(Self.group)/\(name)", texts: paths)
        }
        guard !tensors.isEmpty else { return }
        records.group(Self.table)
        records.dataset(Self.table + "/path", texts: tensors.map(\.path))
        records.dataset(Self.table + "/sha256", texts: tensors.map(\.sha256))
        for (name, column) in [
            ("changed", tensors.map(\.changedElements)), ("row", tensors.map(\.row)),
            ("column", tensors.map(\.column)), ("row_elements", tensors.map(\.rowElements)),
        ] {
            records.dataset("\(Self.table)/\(name)", .integers(column))
        }
    }
}
