import Foundation
import OrderedJSON

/// Every answer that teachers gave, in a file as soon as it came, so that nothing is asked twice whatever ends a run.
///
/// The first line says who was asked and how; each further one holds an answer. Only one process writes it at a time.
final class AnswerJournal {
    /// What one teacher said to one problem.
    struct Entry {
        var problem: Int
        var mode: Mode
        var reply: TeacherReply
    }

    enum Failure: Error, CustomStringConvertible {
        case inUse(String)
        case otherSettings(String, key: String, was: String, now: String)

        var description: String {
            switch self {
            case .inUse(let path): "\(path): another process is writing it"
            case .otherSettings(let path, let key, let was, let now):
                "\(path): its answers were asked for with \(key) \(was), not \(now); give the same, another -o, or "
                    + "--force to begin anew"
            }
        }
    }

    let path: String
    private let descriptor: Int32

    /// - Parameters:
    ///   - header: settings by which answers are the same.
    ///   - isNew: an earlier journal at the path is emptied.
    /// - Throws: `Failure`, `DataFileError`.
    init(path: String, header: JSON, isNew: Bool) throws {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw DataFileError(path: path, reason: String(cString: strerror(errno))) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw Failure.inUse(path) }
        try dropPartialLine(keepingNothing: isNew)
        if lseek(descriptor, 0, SEEK_END) == 0 {
            try append(header)
        } else {
            try compareHeader(header)
        }
    }

    deinit { close(descriptor) }

    /// A killed process may have left a line without its end.
    private func dropPartialLine(keepingNothing: Bool) throws {
        var end = keepingNothing ? 0 : lseek(descriptor, 0, SEEK_END)
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while end > 0 {
            let start = max(0, end - off_t(piece.count))
            guard pread(descriptor, &piece, Int(end - start), start) == Int(end - start) else {
                throw DataFileError(path: path, reason: "cannot be read: \(String(cString: strerror(errno)))")
            }
            if let last = piece[..<Int(end - start)].lastIndex(of: UInt8(ascii: "\n")) {
                end = start + off_t(last) + 1
                break
            }
            end = start
        }
        guard ftruncate(descriptor, end) == 0 else {
            throw DataFileError(path: path, reason: "cannot be cut: \(String(cString: strerror(errno)))")
        }
    }

    private func compareHeader(_ header: JSON) throws {
        struct Found: Error { let row: DataRow }
        var found: DataRow?
        do { try DataFile.forEachRow(path: path) { throw Found(row: $0) } } catch let first as Found {
            found = first.row
        }
        let there = found.map { JSON.object($0.members) } ?? .null
        guard there["answers_of"] != nil else {
            throw DataFileError(path: path, place: "line 1", reason: "is no journal of ckpt distill; give another -o")
        }
        for (key, value) in Self.flattened(header) {
            let other = Self.flattened(there).first { $0.key == key }?.value ?? .null
            guard other != value else { continue }
            throw Failure.otherSettings(
                path, key: key, was: other.plainText ?? other.serialized(), now: value.plainText ?? value.serialized())
        }
    }

    /// `{"think": {"model": "m"}}` as `think model` → `m`.
    private static func flattened(_ json: JSON) -> [(key: String, value: JSON)] {
        (json.object ?? JSONObject()).flatMap { key, value -> [(key: String, value: JSON)] in
            guard let members = value.object else { return [(key, value)] }
            return members.map { ("\(key) \($0.key)", $0.value) }
        }
    }

    /// Calls `body` with every answer so far, in the order in which they came.
    ///
    /// - Throws: `DataFileError` naming the line of one that cannot be read.
    func forEach(problemCount: Int, _ body: (Entry) throws -> Void) throws {
        var isHeader = true
        try DataFile.forEachRow(path: path) { row in
            if isHeader {
                isHeader = false
                return
            }
            guard let problem = row["problem"]?.int, let mode = row["mode"]?.string.flatMap(Mode.init(rawValue:)),
                problem >= 0
            else { throw row.error("is no answer of ckpt distill") }
            // An earlier run may have had a higher limit.
            guard problem < problemCount else { return }
            let reply: TeacherReply
            if let text = row["text"]?.string {
                reply = .answer(
                    TeacherAnswer(
                        text: text, reasoning: row["reasoning"]?.string, isTruncated: row["truncated"]?.bool ?? false,
                        tokenCount: row["tokens"]?.int))
            } else {
                reply = .refused(reason: row["refused"]?.string ?? "")
            }
            try body(Entry(problem: problem, mode: mode, reply: reply))
        }
    }

    func append(_ entry: Entry, id: String) throws {
        var row = JSONObject([
            ("problem", .integer(entry.problem)), ("id", .string(id)), ("mode", .string(entry.mode.rawValue)),
        ])
        switch entry.reply {
        case .answer(let answer):
            row["text"] = .string(answer.text)
            row["reasoning"] = answer.reasoning.map { .string($0) }
            row["truncated"] = .bool(answer.isTruncated)
            row["tokens"] = answer.tokenCount.map { .integer($0) }
        case .refused(let reason): row["refused"] = .string(reason)
        }
        try append(.object(row))
    }

    private func append(_ row: JSON) throws {
        try LineOutput.append(row, to: descriptor, path: path)
    }
}

/// Whole lines of JSON at the end of an open file.
enum LineOutput {
    /// - Throws: `DataFileError` where the line could not be written whole.
    static func append(_ row: JSON, to descriptor: Int32, path: String) throws {
        let line = Array((row.serialized() + "\n").utf8)
        var done = 0
        while done < line.count {
            let written = line.withUnsafeBytes { write(descriptor, $0.baseAddress! + done, line.count - done) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else {
                throw DataFileError(path: path, reason: "cannot write: \(String(cString: strerror(errno)))")
            }
            done += written
        }
    }
}
