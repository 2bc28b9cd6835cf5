import CheckpointIO
import Foundation

/// A file of lines that one process appends to, so that an interrupted run can resume from it.
///
/// The file is locked while this object lives.
final class LineLog {
    let path: String
    private let descriptor: Int32
    /// Whether this object made the file.
    private var isNew = false

    /// Opens or creates the file; removes an incomplete last line, or the whole content if `replacing`.
    ///
    /// - Throws: `DataFileError` if the file cannot be used or another process is writing to it, `CheckpointError` if
    ///   it is a symbolic link.
    init(path: String, replacing: Bool) throws {
        try AtomicFile.refuseLink(at: path)
        self.path = path
        TemporaryPaths.removeAbandoned(beside: path)
        // O_NOFOLLOW: a link may have been put there since.
        let flags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC
        let new = open(path, flags | O_EXCL, 0o666)
        descriptor = new >= 0 || errno != EEXIST ? new : open(path, flags, 0o666)
        guard descriptor >= 0 else { throw DataFileError.cannotWrite(path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw DataFileError(path: path, reason: "another process is writing to it; give another file")
        }
        isNew = new >= 0
        guard ftruncate(descriptor, replacing ? 0 : try endOfLastLine()) == 0 else {
            throw DataFileError.cannotWrite(path)
        }
    }

    deinit {
        // A command that failed before its first line leaves no file.
        if isNew, isEmpty { unlink(path) }
        close(descriptor)
    }

    var isEmpty: Bool { lseek(descriptor, 0, SEEK_END) == 0 }

    private func endOfLastLine() throws -> off_t {
        var end = lseek(descriptor, 0, SEEK_END)
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while end > 0 {
            let start = max(0, end - off_t(piece.count))
            guard pread(descriptor, &piece, Int(end - start), start) == Int(end - start) else {
                throw DataFileError(path: path, reason: "cannot read: \(DataFileError.reason(errno))")
            }
            if let last = piece[..<Int(end - start)].lastIndex(of: UInt8(ascii: "\n")) {
                return start + off_t(last) + 1
            }
            end = start
        }
        return 0
    }

    /// Appends whole lines in one write, so that a kill leaves at most one incomplete line.
    ///
    /// - Throws: `DataFileError`.
    func append(_ lines: String) throws { try Self.append(lines, to: descriptor, path: path) }

    /// Appends text to an open file.
    ///
    /// - Throws: `DataFileError` if it cannot be written completely.
    static func append(_ text: String, to descriptor: Int32, path: String) throws {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw DataFileError.cannotWrite(path) }
            rest = rest.dropFirst(count)
        }
    }
}

/// The damaged lines of a log that is resumed from its whole ones; they stay in the file.
package struct LogDamage: Sendable, Equatable {
    package internal(set) var lines = 0
    /// Lines with something that is not a whole row.
    package internal(set) var damaged = 0
    /// Rows that repeat an earlier one.
    package internal(set) var repeated = 0

    /// What was left out, for a report; nil if nothing was.
    ///
    /// `remedy` tells the user what happens to the rows on damaged lines.
    package func text(of path: String, remedy: String) -> String? {
        var parts: [String] = []
        if damaged > 0 {
            parts.append("\(damaged) damaged \(damaged == 1 ? "line" : "lines") of \(lines) left out; \(remedy)")
        }
        if repeated > 0 { parts.append("\(counted(repeated, "repeated row")) left out") }
        return parts.isEmpty ? nil : "\(path): " + parts.joined(separator: "; ")
    }
}
