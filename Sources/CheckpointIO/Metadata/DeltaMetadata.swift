/// The metadata of a delta: what its state and its base have in common is left out.
///
/// A record that is the base's is kept by name. Of an array of numbers that begins with the base's rows, such as the
/// history of a metric, only the other rows are stored.
extension RecordWriter {
    /// The records of a delta that stands for `state`; `delta` receives what is taken from the base.
    ///
    /// - Throws: `CheckpointError.invalid` if a part cannot be stored.
    init(_ state: RecordWriter, since base: RecordWriter, _ delta: inout DeltaRecord) throws {
        self.init()
        delta.metadataDigest = state.reader.metadataDigest
        let old = base.reader
        for group in state.groups { self.group(group) }
        for record in state.records {
            guard record.attribute == nil, let value = old.values[record.path] else {
                let isKind = record.path == "/" && record.attribute == "kind"
                append(
                    isKind ? CheckpointRecord(path: "/", attribute: "kind", value: .text(DeltaRecord.kindName)) : record
                )
                continue
            }
            if value == record.value {
                delta.kept.append(record.path)
            } else if let rest = record.value.rows(after: value) {
                delta.continued.append(record.path)
                append(CheckpointRecord(path: record.path, attribute: nil, value: rest))
            } else {
                append(record)
            }
        }
        delta.write(to: &self)
        try checkPlaces()
        _ = try RecordReader(state: delta, from: reader, base: base)
    }
}

extension RecordReader {
    /// The records of the state that a delta stands for.
    ///
    /// - Throws: `CheckpointError.damaged` if the base lacks a record or has other metadata than it had.
    init(state delta: DeltaRecord, from own: RecordReader, base: RecordWriter) throws {
        self.init(filePath: own.filePath)
        let old = base.reader
        for group in own.groups where !DeltaRecord.allowsGroup(group) { add(group: group) }
        for (key, value) in own.values where !Self.isOfDelta(key) { add(key, value) }
        add("/@kind", .text(delta.kind.rawValue))
        var byteCount = 0
        for path in delta.kept + delta.continued {
            guard let value = old.values[path], !path.contains("@") else {
                throw own.damaged(DeltaRecord.group, "takes \(path) from the base, which has no such record")
            }
            byteCount += value.bytes.count
            add(path, value)
        }
        guard byteCount <= CheckpointLayout.maximumRecordBytes else {
            throw own.damaged(DeltaRecord.group, "takes more from the base than a checkpoint's metadata may be")
        }
        for path in delta.continued {
            guard let first = old.values[path], let rest = own.values[path], let whole = first.appending(rest) else {
                throw own.damaged(path, "does not continue the record of the base")
            }
            add(path, whole)
        }
        guard metadataDigest == delta.metadataDigest else {
            throw own.damaged(
                DeltaRecord.group, "does not give the recorded metadata: the base's metadata is not what it was")
        }
    }

    private static func isOfDelta(_ key: String) -> Bool {
        key.hasPrefix(DeltaRecord.group + "/") || key.hasPrefix(DeltaRecord.group + "@") || sealKeys.contains(key)
    }

    /// The attributes that are computed from everything else.
    private static let sealKeys: Set = ["/@digest", "/@record_digest"]

    /// The digest of all records but the digests of the file.
    fileprivate var metadataDigest: String {
        var manifest = ManifestDigest()
        for (key, value) in values where !Self.sealKeys.contains(key) { manifest.add(path: key, value) }
        return manifest.value()
    }
}

extension HDF5Value {
    /// The rows that follow those of `first`; nil if this is not an array of numbers that begins with them.
    fileprivate func rows(after first: HDF5Value) -> HDF5Value? {
        guard case .element = type, type == first.type, let shape, let old = first.shape, !shape.isEmpty,
            shape.dropFirst() == old.dropFirst(), shape[0] > old[0], bytes.starts(with: first.bytes)
        else { return nil }
        return HDF5Value(
            type: type, shape: [shape[0] - old[0]] + shape.dropFirst(), bytes: Array(bytes[first.bytes.count...]))
    }

    /// These rows and then those of another array; nil if they do not fit.
    fileprivate func appending(_ rest: HDF5Value) -> HDF5Value? {
        guard case .element = type, type == rest.type, let shape, let other = rest.shape, !shape.isEmpty,
            !other.isEmpty, shape.dropFirst() == other.dropFirst()
        else { return nil }
        return HDF5Value(type: type, shape: [shape[0] + other[0]] + shape.dropFirst(), bytes: bytes + rest.bytes)
    }
}
