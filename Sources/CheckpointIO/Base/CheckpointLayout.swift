import OrderedJSON

/// Constants and limits of the checkpoint format, and the mapping of tensor names to HDF5 paths.
///
/// See `docs/checkpoint-format.md` and `schemas/checkpoint-layout.json`.
enum CheckpointLayout {
    static let format = "ckpt"
    /// The format version written, and the newest version read.
    static let version = 1
    /// The registered identifier of the zstd filter.
    static let zstdFilter: Int32 = 32015
    static let shuffleFilter: Int32 = 2

    /// Target size of a chunk in bytes: larger chunks compress no better, smaller ones worse.
    static let chunkTarget = 1 << 20
    /// Tensors up to this many bytes are stored uncompressed: the index would cost more than compression saves.
    static let contiguousLimit = 32 << 10
    /// Maximum number of path components; deeper nesting is refused.
    static let maximumDepth = 32
    /// Maximum length in bytes of a tensor's name, and of the name of any group or dataset.
    static let maximumNameLength = 1024
    /// Maximum size of an attribute: HDF5 stores it in the object header, where a message has at most 64 KiB.
    static let maximumAttributeBytes = 60 << 10
    /// Maximum total size of all datasets that are not tensors.
    static let maximumRecordBytes = 128 << 20
    /// Maximum number of groups and datasets, the root included.
    static let maximumObjects = 1 << 18
    /// Steps, and other numbers that count something; sums and products of a few of them do not overflow.
    static let counters = 0...1 << 40

    /// The path of a tensor's dataset relative to its group, without a leading slash.
    static func relativePath(ofTensor name: String) -> String {
        String(decoding: name.utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "/") : $0 }, as: UTF8.self)
    }

    /// The name of the tensor at a path relative to its group.
    static func tensorName(ofPath path: String) -> String {
        String(decoding: path.utf8.map { $0 == UInt8(ascii: "/") ? UInt8(ascii: ".") : $0 }, as: UTF8.self)
    }

    /// Why no group or dataset can have the name, or nil if it is valid.
    static func problem(withMemberName name: String) -> String? {
        if name.isEmpty { return "must not be empty" }
        if name == "." || name == ".." { return "must not be '.' or '..'" }
        if name.utf8.count > maximumNameLength { return "has at most \(maximumNameLength) bytes" }
        if name.utf8.contains(UInt8(ascii: "/")) { return "must not contain '/'" }
        if !name.unicodeScalars.allSatisfy(\.isPlain) { return "must not contain invisible characters" }
        return nil
    }

    /// Why `name` is not a valid tensor name, or nil if it is valid.
    static func problem(withTensorName name: String) -> String? {
        let bytes = Array(name.utf8)
        if bytes.isEmpty { return "a tensor name must not be empty" }
        if bytes.count > maximumNameLength { return "a tensor name has at most \(maximumNameLength) bytes" }
        if bytes.contains(0) { return "a tensor name must not contain a NUL character" }
        if !name.unicodeScalars.allSatisfy(\.isPlain) { return "a tensor name must not contain invisible characters" }
        if bytes.contains(UInt8(ascii: "/")) { return "a tensor name must not contain '/'" }
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        // This refuses `.` and `..` too: names are split at every dot.
        if parts.contains(where: \.isEmpty) { return "a tensor name must not have an empty part between dots" }
        if parts.count > maximumDepth - 4 { return "a tensor name has at most \(maximumDepth - 4) parts" }
        return nil
    }
}

/// A number with leading zeros.
func zeroPadded(_ number: Int, digits: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}
