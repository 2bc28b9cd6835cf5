/// A dataset or attribute that is not a tensor, as stored in the file.
struct CheckpointRecord: Sendable {
    /// The path of the dataset, or of the object that has the attribute.
    var path: String
    /// The name of the attribute; nil for a dataset.
    var attribute: String?
    var value: HDF5Value
    /// Whether the dataset is stored in compressed chunks.
    var isCompressed = false

    /// The record's name in the record digest.
    var digestPath: String { attribute.map { "\(path)@\($0)" } ?? path }
}

/// Collects the metadata of a checkpoint as groups and records to be stored.
struct RecordWriter {
    private(set) var groups: [String] = []
    private(set) var records: [CheckpointRecord] = []
    /// Records with a text that contains a NUL character, at which the text would end when it is read.
    private var withNUL: [String] = []

    /// Encodes all metadata of a checkpoint.
    ///
    /// - Throws: `CheckpointError.invalid` if the metadata contradicts itself or cannot be stored.
    init(_ metadata: CheckpointMetadata) throws {
        try metadata.write(to: &self)
        try check()
    }

    mutating func group(_ path: String) { groups.append(path) }

    mutating func dataset(_ path: String, _ value: HDF5Value, isCompressed: Bool = false) {
        records.append(CheckpointRecord(path: path, attribute: nil, value: value, isCompressed: isCompressed))
    }

    mutating func dataset(_ path: String, text: String?) {
        guard let text else { return }
        if text.utf8.contains(0) { withNUL.append(path) }
        dataset(path, .text(text))
    }

    mutating func dataset(_ path: String, texts: [String]) {
        if texts.contains(where: { $0.utf8.contains(0) }) { withNUL.append(path) }
        dataset(path, .texts(texts))
    }

    mutating func attribute(_ path: String, _ name: String, _ value: HDF5Value) {
        if case .text = value.type, value.shape == nil, value.bytes.dropFirst().contains(0) {
            withNUL.append("\(path)@\(name)")
        }
        records.append(CheckpointRecord(path: path, attribute: name, value: value))
    }

    mutating func attribute(_ path: String, _ name: String, integer: Int?) {
        if let integer { attribute(path, name, .integer(integer)) }
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
                    problem: "the name of a metric must not contain '/', spaces or control characters")
            }
        }
    }

    /// HDF5 stores attributes in the object header, where a message has at most 64 KiB.
    static let maximumAttributeBytes = 60 << 10
}
