/// Reads a GGUF header sequentially through a window of the file.
struct GGUFCursor {
    private let file: RandomAccessFile
    private let limit: Int
    private(set) var position = 0
    private var window: [UInt8] = []
    private var windowStart = 0

    private static let windowByteCount = 1 << 20

    init(_ file: RandomAccessFile, limit: Int) {
        self.file = file
        self.limit = limit
    }

    var path: String { file.path }

    func malformed(_ place: String, _ reason: String) -> ModelFormatError {
        .malformed(path: file.path, place: place, reason: reason)
    }

    /// Loads the next `count` bytes, moves past them, and returns their offset in the window.
    private mutating func advance(_ count: Int, _ place: String) throws -> Int {
        guard count <= file.byteCount - position else {
            throw ModelFormatError.truncated(
                path: file.path, place: place, needed: count, available: file.byteCount - position)
        }
        guard count <= limit - position else {
            throw malformed(place, "the header is larger than the \(limit) bytes allowed")
        }
        if position + count > windowStart + window.count {
            let size = min(max(count, Self.windowByteCount), file.byteCount - position)
            window = try file.bytes(at: position, count: size, place: place)
            windowStart = position
        }
        defer { position += count }
        return position - windowStart
    }

    mutating func bytes(_ count: Int, _ place: String) throws -> ArraySlice<UInt8> {
        let start = try advance(count, place)
        return window[start..<start + count]
    }

    mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(
        _ place: String, as type: Value.Type
    ) throws -> Value {
        let start = try advance(MemoryLayout<Value>.size, place)
        return window.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: Value.self)) }
    }

    mutating func uint32(_ place: String) throws -> UInt32 { try integer(place, as: UInt32.self) }

    /// Reads a count of items, each of which takes at least `leastBytesEach` bytes in the rest of the file.
    mutating func count(_ place: String, leastBytesEach: Int) throws -> Int {
        let count = try integer(place, as: UInt64.self)
        let available = min(file.byteCount, limit) - position
        guard count <= UInt64(available / leastBytesEach) else {
            throw malformed(place, "\(count) entries do not fit in the rest of the file")
        }
        return Int(count)
    }

    mutating func string(_ place: String, maximumByteCount: Int = .max) throws -> String {
        let count = try count(place, leastBytesEach: 1)
        guard count <= maximumByteCount else {
            throw malformed(place, "a name of \(count) bytes is longer than the \(maximumByteCount) allowed")
        }
        guard let text = String(validating: try bytes(count, place), as: UTF8.self) else {
            throw malformed(place, "is not UTF-8 text")
        }
        return text
    }
}
