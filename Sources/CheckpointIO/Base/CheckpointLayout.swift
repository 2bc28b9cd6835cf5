import OrderedJSON

/// Names of the groups, datasets and attributes of a checkpoint, and how tensor names become paths.
/// `docs/checkpoint-format.md` and `schemas/checkpoint-layout.json` describe the same.
enum CheckpointLayout {
    static let format = "ckpt"
    /// The version written, and the newest that is read.
    static let version = 1
    /// The registered number of the zstd filter.
    static let zstdFilter: Int32 = 32015
    static let shuffleFilter: Int32 = 2

    /// Bytes that a chunk aims at: larger ones compress no better, smaller ones worse.
    static let chunkTarget = 1 << 20
    /// Tensors up to this size are stored as they are; compression would save less than its bookkeeping costs.
    static let contiguousLimit = 32 << 10
    /// Parts a path may have; deeper nesting is refused.
    static let maximumDepth = 32
    /// Bytes a tensor name may have.
    static let maximumNameLength = 1024

    /// The path of a tensor's dataset below its group, without a leading slash.
    static func relativePath(ofTensor name: String) -> String {
        String(decoding: name.utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "/") : $0 }, as: UTF8.self)
    }

    /// The tensor that a path below a tensor group stands for.
    static func tensorName(ofPath path: String) -> String {
        String(decoding: path.utf8.map { $0 == UInt8(ascii: "/") ? UInt8(ascii: ".") : $0 }, as: UTF8.self)
    }

    /// What keeps `name` from being a tensor name, or nil.
    static func problem(withTensorName name: String) -> String? {
        let bytes = Array(name.utf8)
        if bytes.isEmpty { return "a tensor name must not be empty" }
        if bytes.count > maximumNameLength { return "a tensor name has at most \(maximumNameLength) bytes" }
        if bytes.contains(0) { return "a tensor name must not contain a NUL character" }
        if !name.unicodeScalars.allSatisfy(\.isPlain) { return "a tensor name must not contain invisible characters" }
        if bytes.contains(UInt8(ascii: "/")) { return "a tensor name must not contain '/'" }
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        // An empty part is also what `.` and `..` leave behind, since names are cut at every dot.
        if parts.contains(where: \.isEmpty) { return "a tensor name must not have an empty part between dots" }
        if parts.count > maximumDepth - 4 { return "a tensor name has at most \(maximumDepth - 4) parts" }
        return nil
    }
}
