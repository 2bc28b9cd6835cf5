import Foundation
import OrderedJSON

/// `metrics.jsonl` of a run: one JSON object a step, in the file as soon as it is appended.
public final class MetricsLog {
    public let path: String
    private let descriptor: Int32

    /// Opens the log for appending, and makes it where there is none.
    ///
    /// - Parameter lastStep: the step of the state that a run goes on from. Rows of later steps, which a killed run may
    ///   have written after its last save, are dropped, and so is a last line that is not whole. nil keeps everything.
    /// - Throws: `DataFileError`.
    public init(path: String, resumingAfter lastStep: Int? = nil) throws {
        self.path = path
        if let lastStep, FileManager.default.fileExists(atPath: path) {
            try DataFile.write(try Self.rows(of: path, upTo: lastStep), to: path, overwrite: true)
        }
        descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw DataFileError(path: path, reason: DataFileError.reason(errno)) }
    }

    deinit { close(descriptor) }

    /// Appends one row; values that are not finite become `null`.
    ///
    /// - Throws: `DataFileError` if the row could not be written, for instance because the disk is full.
    public func append(step: Int, _ values: [(String, Double)]) throws {
        var members = JSONObject([("step", .integer(step))])
        for (name, value) in values where name != "step" { members[name] = .double(value) }
        try append(.object(members))
    }

    /// Appends one row, which should have a `step`.
    ///
    /// - Throws: `DataFileError`.
    public func append(_ row: JSON) throws {
        let line = Array((row.serialized() + "\n").utf8)
        let written = line.withUnsafeBytes { write(descriptor, $0.baseAddress!, $0.count) }
        guard written == line.count else {
            throw DataFileError(path: path, reason: "cannot write: \(String(cString: strerror(errno)))")
        }
    }

    private static func rows(of path: String, upTo lastStep: Int) throws -> String {
        var reader = try LineReader(path: path)
        var kept: [UInt8] = []
        while let line = try reader.next() {
            guard let row = try? JSON.parse(Array(line)), let step = row["step"]?.int, step <= lastStep else {
                continue
            }
            kept.append(contentsOf: line)
            kept.append(UInt8(ascii: "\n"))
        }
        return String(decoding: kept, as: UTF8.self)
    }
}
