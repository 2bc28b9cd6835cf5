import Foundation
import OrderedJSON

/// Reads the text files of a model, with limits on their size.
enum TextFile {
    static let maximumConfigByteCount = 4 << 20
    static let maximumIndexByteCount = 64 << 20
    static let maximumTokenizerByteCount = 128 << 20

    /// The content of a file; nil if there is no such file.
    static func bytes(_ path: String, maximumByteCount: Int) throws -> [UInt8]? {
        guard access(path, F_OK) == 0 || AtomicFile.isLink(path) else { return nil }
        let file = try RandomAccessFile(path: path)
        guard file.byteCount <= maximumByteCount else {
            throw ModelFormatError.malformed(
                path: path, place: "size",
                reason: "\(file.byteCount) bytes are more than the \(maximumByteCount) allowed")
        }
        return try file.bytes(at: 0, count: file.byteCount, place: "content")
    }

    /// The UTF-8 text of a file; nil if there is no such file.
    static func text(_ path: String, maximumByteCount: Int) throws -> String? {
        guard let bytes = try bytes(path, maximumByteCount: maximumByteCount) else { return nil }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ModelFormatError.malformed(path: path, place: "content", reason: "is not UTF-8 text")
        }
        guard !text.utf8.contains(0) else {
            throw ModelFormatError.malformed(path: path, place: "content", reason: "has a NUL character")
        }
        return text
    }

    /// The JSON object in a file.
    static func json(_ path: String, maximumByteCount: Int) throws -> JSON {
        guard let bytes = try bytes(path, maximumByteCount: maximumByteCount) else {
            throw ModelFormatError.cannotRead(path: path, reason: "no such file or directory")
        }
        return try object(bytes, path: path)
    }

    /// Parses a JSON object; `path` is for errors.
    static func object(_ bytes: [UInt8], path: String) throws -> JSON {
        let value: JSON
        do {
            value = try JSON.parse(bytes)
        } catch {
            throw ModelFormatError.malformed(path: path, place: "JSON", reason: error.description)
        }
        guard value.object != nil else {
            throw ModelFormatError.malformed(path: path, place: "JSON", reason: "is \(value.kindName), not an object")
        }
        return value
    }
}
