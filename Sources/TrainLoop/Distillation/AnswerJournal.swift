import OrderedJSON

/// The file that stores every teacher answer as soon as it arrives, so that no question is asked twice.
///
/// The first line holds the teachers' settings, each further line one answer. Only one process may write at a time.
final class AnswerJournal {
    /// The reply of one teacher to one problem.
    struct Entry {
        var problem: Int
        var mode: Mode
        var reply: ModelReply
    }

    private let log: LineLog

    /// Opens or creates the journal for answers with the settings in `header`; discards an old one if `replacing`.
    ///
    /// - Throws: `DataFileError`, also if the journal has other settings.
    init(path: String, header: JSON, replacing: Bool) throws {
        log = try LineLog(path: path, replacing: replacing)
        if log.isEmpty { try append(header) } else { try compareHeader(header) }
    }

    private func compareHeader(_ header: JSON) throws {
        let first: JSON
        do { first = .object(try DataFile.firstRow(path: log.path).members) } catch let error as DataFileError {
            throw DataFileError(
                path: error.path, place: error.place,
                reason: "the settings of the answers cannot be read (\(error.reason)); give another -o, or --force to "
                    + "start over")
        }
        guard first["answers_of"] != nil else {
            throw DataFileError(
                path: log.path, place: "line 1", reason: "the file is not a journal of ckpt distill; give another -o")
        }
        let found = Self.flattened(first)
        for (key, value) in Self.flattened(header) {
            let other = found.first { $0.key == key }?.value ?? .null
            guard other != value else { continue }
            throw DataFileError(
                path: log.path,
                reason: "its answers were requested with \(key) \(other.plainText ?? other.serialized()), not "
                    + "\(value.plainText ?? value.serialized()); give the same settings, another -o, or --force to "
                    + "start over")
        }
    }

    /// Converts `{"think": {"model": "m"}}` to `think model` → `m`.
    private static func flattened(_ json: JSON) -> [(key: String, value: JSON)] {
        (json.object ?? JSONObject()).flatMap { key, value -> [(key: String, value: JSON)] in
            guard let members = value.object else { return [(key, value)] }
            return members.map { ("\(key) \($0.key)", $0.value) }
        }
    }

    /// Calls `body` with every whole stored entry, in order of arrival, and returns what was left out.
    ///
    /// - Throws: `DataFileError` if the journal cannot be read, and the errors of `body`.
    func forEach(problemCount: Int, _ body: (Entry) throws -> Void) throws -> LogDamage {
        var damage = LogDamage()
        var seen = Set<[Int]>()
        (damage.lines, damage.damaged) = try DataFile.forEachWholeRow(path: log.path, startingWith: "{\"problem\":") {
            if $0["answers_of"] != nil { return true }
            guard let entry = Self.entry($0) else { return false }
            guard seen.insert([entry.problem, entry.mode == .think ? 0 : 1]).inserted else {
                damage.repeated += 1
                return true
            }
            // An earlier run may have had a higher --limit.
            if entry.problem < problemCount { try body(entry) }
            return true
        }
        return damage
    }

    /// The entry of a row; nil if it is not a whole one.
    private static func entry(_ row: DataRow) -> Entry? {
        guard let problem = row["problem"]?.int, problem >= 0,
            let mode = row["mode"]?.string.flatMap(Mode.init(rawValue:))
        else { return nil }
        if let text = row["text"]?.string {
            let answer = ModelAnswer(
                text: text, reasoning: row["reasoning"]?.string, isTruncated: row["truncated"]?.bool ?? false,
                tokenCount: row["tokens"]?.int)
            return Entry(problem: problem, mode: mode, reply: .answer(answer))
        }
        guard let reason = row["refused"]?.string else { return nil }
        return Entry(problem: problem, mode: mode, reply: .refused(reason: reason))
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

    private func append(_ row: JSON) throws { try log.append(row.serialized() + "\n") }
}
