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
///
/// What is collected is decoded again as the reader decodes it, so the writer accepts nothing that the reader refuses.
struct RecordWriter {
    private(set) var groups: [String] = []
    private(set) var records: [CheckpointRecord] = []
    /// The first record that cannot be encoded, and the reason.
    private var refusal: CheckpointError?

    /// No records.
    init() {}

    /// Encodes all metadata of a checkpoint.
    ///
    /// - Throws: `CheckpointError.invalid` if the metadata contradicts itself or cannot be stored.
    init(_ metadata: CheckpointMetadata) throws {
        try metadata.write(to: &self)
        try check(tied: metadata.tiedTensors)
    }

    /// Bytes of all datasets.
    var datasetBytes: Int { records.reduce(0) { $0 + ($1.attribute == nil ? $1.value.bytes.count : 0) } }

    /// A reader of these records, as if they had been written to a file and opened.
    var reader: RecordReader {
        var reader = RecordReader(filePath: "")
        for group in groups { reader.add(group: group) }
        for record in records { reader.add(record.digestPath, record.value) }
        return reader
    }

    mutating func append(_ record: CheckpointRecord) { records.append(record) }

    mutating func group(_ path: String) { groups.append(path) }

    mutating func dataset(_ path: String, _ value: HDF5Value, isCompressed: Bool = false) {
        records.append(CheckpointRecord(path: path, attribute: nil, value: value, isCompressed: isCompressed))
    }

    mutating func dataset(_ path: String, text: String?) {
        guard let text, allows([text], at: path, CheckpointLayout.maximumRecordBytes) else { return }
        dataset(path, .text(text))
    }

    mutating func dataset(_ path: String, texts: [String]) {
        guard allows(texts, at: path, CheckpointLayout.maximumRecordBytes) else { return }
        dataset(path, .texts(texts))
    }

    mutating func attribute(_ path: String, _ name: String, _ value: HDF5Value) {
        records.append(CheckpointRecord(path: path, attribute: name, value: value))
    }

    mutating func attribute(_ path: String, _ name: String, text: String) {
        guard allows([text], at: "\(path)@\(name)", CheckpointLayout.maximumAttributeBytes) else { return }
        attribute(path, name, .text(text))
    }

    mutating func attribute(_ path: String, _ name: String, texts: [String]) {
        guard allows(texts, at: "\(path)@\(name)", CheckpointLayout.maximumAttributeBytes) else { return }
        attribute(path, name, .texts(texts))
    }

    mutating func attribute(_ path: String, _ name: String, integer: Int?) {
        if let integer { attribute(path, name, .integer(integer)) }
    }

    /// Whether texts can be stored together, in fields as wide as the longest; otherwise notes the refusal.
    private mutating func allows(_ texts: [String], at place: String, _ maximumBytes: Int) -> Bool {
        var problem: String?
        if texts.contains(where: { $0.utf8.contains(0) }) {
            // A text would end there when it is read.
            problem = "a text in a checkpoint must not contain a NUL character"
        }
        let (byteCount, overflows) = texts.count.multipliedReportingOverflow(by: texts.map(\.utf8.count).max() ?? 0)
        if overflows || byteCount > maximumBytes {
            problem =
                maximumBytes == CheckpointLayout.maximumAttributeBytes
                ? "an attribute has at most \(maximumBytes) bytes"
                : "is larger than a checkpoint's metadata may be"
        }
        guard let problem else { return true }
        if refusal == nil { refusal = .invalid(name: place, problem: problem) }
        return false
    }

    private static func notAllowed(_ place: String) -> CheckpointError {
        .invalid(name: place, problem: "is not a place that a checkpoint has")
    }

    /// Checks that a checkpoint has these places, and the sizes of the records.
    ///
    /// - Throws: `CheckpointError.invalid`.
    func checkPlaces() throws {
        if let refusal { throw refusal }
        var byteCount = 0
        if let group = groups.first(where: { !CheckpointShape.allowsGroup($0) }) { throw Self.notAllowed(group) }
        for record in records {
            guard
                record.attribute.map({ CheckpointShape.allowsAttribute($0, of: record.path) })
                    ?? CheckpointShape.allowsDataset(record.path)
            else { throw Self.notAllowed(record.digestPath) }
            if record.attribute == nil {
                byteCount += record.value.bytes.count
                guard byteCount <= CheckpointLayout.maximumRecordBytes else {
                    throw CheckpointError.invalid(
                        name: record.path, problem: "is larger than a checkpoint's metadata may be")
                }
            }
        }
    }

    /// Checks places and sizes, and reads the records as the reader does.
    private func check(tied: [String: String]) throws {
        try checkPlaces()
        do {
            _ = try CheckpointMetadata(from: reader, storedTensors: Set(tied.values))
        } catch let error as CheckpointError {
            switch error {
            case .damaged(_, let place, let problem), .unsupported(_, let place, let problem):
                throw CheckpointError.invalid(name: place, problem: problem)
            default: throw error
            }
        }
    }
}
