import CheckpointIO
import Foundation
import OrderedJSON

/// The log `metrics.jsonl` of a run: one JSON object per step, in the file as soon as it is appended.
package final class MetricsLog {
    private let path: String
    private let descriptor: Int32
    /// The lines of the earlier run that were left out.
    package private(set) var damage = LogDamage()

    /// Opens the log for appending, and creates it if it does not exist.
    ///
    /// Rows of steps after `lastStep`, which a killed run may have written after its last save, are removed, and so is
    /// an incomplete last line. If other lines are damaged, the file as it was stays beside as `metrics.jsonl.damaged`.
    ///
    /// - Throws: `DataFileError` if the log cannot be used, `CheckpointError` if it is a symbolic link.
    package init(path: String, resumingAfter lastStep: Int) throws {
        try AtomicFile.refuseLink(at: path)
        self.path = path
        if FileManager.default.fileExists(atPath: path) {
            let kept = try Self.rows(of: path, upTo: lastStep, &damage)
            if damage.damaged > 0 { try Self.keepCopy(of: path) }
            try DataFile.write(kept, to: path, overwrite: true)
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

    private static func rows(of path: String, upTo lastStep: Int, _ damage: inout LogDamage) throws -> String {
        var kept = ""
        var last = -1
        var repeated = 0
        let counts = try DataFile.forEachWholeRow(path: path, startingWith: "{\"step\":") { row in
            guard let step = row["step"]?.int else { return false }
            guard step <= lastStep else { return true }
            if step > last {
                kept += JSON.object(row.members).serialized() + "\n"
                last = step
            } else {
                repeated += 1
            }
            return true
        }
        (damage.lines, damage.damaged, damage.repeated) = (counts.lines, counts.damaged, repeated)
        // A kill in the middle of a write cuts the last line, which is no damage.
        if damage.damaged > 0, try !endsWithLineFeed(path) { damage.damaged -= 1 }
        return kept
    }

    /// The last whole row of a log; nil if it has none, or is no log.
    ///
    /// Only the end of the file is read, which holds several rows.
    static func lastRow(of path: String) -> MetricRow? {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            let file = try? FileHandle(forReadingFrom: URL(filePath: path))
        else { return nil }
        defer { try? file.close() }
        guard let end = try? file.seekToEnd(), (try? file.seek(toOffset: end - min(end, 1 << 18))) != nil,
            let bytes = try? file.read(upToCount: 1 << 18)
        else { return nil }
        for line in bytes.split(separator: UInt8(ascii: "\n")).reversed() {
            guard let members = try? JSON.parse(Array(line)).object, members["step"]?.int != nil else { continue }
            return MetricRow(members.compactMap { name, value in value.double.map { (name, $0) } })
        }
        return nil
    }

    private static func endsWithLineFeed(_ path: String) throws -> Bool {
        let file = try FileHandle(forReadingFrom: URL(filePath: path))
        defer { try? file.close() }
        let end = try file.seekToEnd()
        guard end > 0 else { return true }
        try file.seek(toOffset: end - 1)
        return try file.readToEnd() == Data([UInt8(ascii: "\n")])
    }

    /// Gives a file a second name that is new.
    private static func keepCopy(of path: String) throws {
        for number in 0..<1000 {
            if link(path, path + ".damaged" + (number == 0 ? "" : ".\(number)")) == 0 { return }
            guard errno == EEXIST else { break }
        }
        throw DataFileError(path: path, reason: "cannot keep the damaged log: \(DataFileError.reason(errno))")
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
