import CheckpointIO
import Foundation
import OrderedJSON

/// The log `metrics.jsonl` of a run: one JSON object per step, in the file as soon as it is appended.
package final class MetricsLog {
    private let path: String
    private let descriptor: Int32

    /// Opens the log for appending, and creates it if it does not exist.
    ///
    /// Rows of steps after `lastStep`, which a killed run may have written after its last save, are removed, and so is
    /// an incomplete last line.
    ///
    /// - Throws: `DataFileError` if the log cannot be used, `CheckpointError` if it is a symbolic link.
    package init(path: String, resumingAfter lastStep: Int) throws {
        try AtomicFile.refuseLink(at: path)
        self.path = path
        if FileManager.default.fileExists(atPath: path) {
            try DataFile.write(try Self.rows(of: path, upTo: lastStep), to: path, overwrite: true)
        }
        descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw DataFileError(path: path, reason: DataFileError.reason(errno)) }
    }

    deinit { close(descriptor) }

    /// Appends the row of a step; values that are not finite become `null`.
    ///
    /// - Throws: `DataFileError` if the row cannot be written, for instance because the disk is full.
    package func append(step: Int, _ row: MetricRow) throws {
        var members = JSONObject([("step", .integer(step))])
        for (name, value) in row.values { members[name] = .double(value) }
        let line = JSON.object(members).serialized() + "\n"
        try writeRecord(Array(line.utf8), to: descriptor, of: path)
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

/// Writes a record of a log with one system call.
///
/// - Throws: `DataFileError` if not all bytes could be written.
func writeRecord(_ bytes: [UInt8], to descriptor: Int32, of path: String) throws {
    guard bytes.withUnsafeBytes({ write(descriptor, $0.baseAddress, $0.count) }) == bytes.count else {
        throw DataFileError(path: path, reason: "cannot write: \(String(cString: strerror(errno)))")
    }
}
