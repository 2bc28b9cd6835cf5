import OrderedJSON

extension Pair {
    /// The row of a pair file.
    package var json: JSON {
        var members = JSONObject([("id", .string(id)), ("problem", .string(problem))])
        for (key, value) in [("think", think?.text), ("short", short), ("answer", answer), ("level", level)] {
            if let value { members[key] = .string(value) }
        }
        return .object(members)
    }
}

/// Reads and writes pair files.
///
/// Supported rows: our own, with `think` (working, `</think>`, answer) and `short`; Thinkless's `instruction` and
/// `output`; TRL's `prompt` and `completion` (texts or messages), and `messages`. The last three have one response per
/// row, starting with `<think>` or `<short>`; responses to the same problem are combined into pairs, wherever they
/// stand in the file. A line feed right after the control token is dropped, because the encoder adds it again.
public enum PairFile {
    /// Reads all pairs of a file.
    ///
    /// - Parameter path: a JSONL file or a JSON array of objects.
    /// - Returns: the pairs, in the order in which the file first names their problems.
    /// - Throws: `DataFileError` with the path and the line or element, also if the file has no rows.
    public static func read(path: String) throws -> [Pair] {
        var pairs: [Pair] = []
        // Indices of incomplete pairs by problem, oldest first; all pairs of a problem lack the same half.
        var incomplete: [String: ArraySlice<Int>] = [:]
        try DataFile.forEachRow(path: path) { row in
            if row["think"] != nil || row["short"] != nil {
                pairs.append(try ownPair(row))
                return
            }
            let (problem, response) = try exchange(row)
            guard problem.contains(where: { !$0.isWhitespace }) else { throw row.error("the problem is empty") }
            let half = try half(response, row)
            if let oldest = incomplete[problem]?.first, half.fits(pairs[oldest]) {
                incomplete[problem]?.removeFirst()
                half.fill(&pairs[oldest])
                return
            }
            var pair = Pair(
                id: try row.text("id") ?? String(row.number), problem: problem, think: nil, short: nil,
                answer: try row.text("answer"), level: try row.text("level"))
            half.fill(&pair)
            incomplete[problem, default: []].append(pairs.count)
            pairs.append(pair)
        }
        return pairs
    }

    /// Writes pairs as JSONL, atomically.
    ///
    /// - Parameters:
    ///   - pairs: one row each.
    ///   - path: the file to create.
    ///   - overwrite: replaces an existing file.
    /// - Throws: `DataFileError` if the file exists or cannot be written.
    public static func write(_ pairs: [Pair], to path: String, overwrite: Bool) throws {
        try DataFile.write(pairs.lazy.map(\.json), to: path, overwrite: overwrite)
    }

    private enum PairHalf {
        case think(Pair.ThinkResponse)
        case short(String)

        func fits(_ pair: Pair) -> Bool {
            switch self {
            case .think: pair.think == nil
            case .short: pair.short == nil
            }
        }

        func fill(_ pair: inout Pair) {
            switch self {
            case .think(let response): pair.think = response
            case .short(let text): pair.short = text
            }
        }
    }

    private static func ownPair(_ row: DataRow) throws -> Pair {
        let problem = try ProblemFile.problem(row)
        return Pair(
            id: problem.id, problem: problem.problem,
            think: try row.text("think").map { try think(dropping("<think>", from: $0), row) },
            short: try row.text("short").map { try short(dropping("<short>", from: $0), row) },
            answer: problem.answer, level: problem.level)
    }

    private static func exchange(_ row: DataRow) throws -> (problem: String, response: String) {
        if let output = try row.text("output") {
            guard let instruction = try row.text("instruction") else { throw row.error("\"instruction\" is missing") }
            return (instruction, output)
        }
        if let messages = row["messages"]?.array {
            let exchange = try ChatRecord.exchange(messages, of: row)
            return (exchange.user, exchange.assistant)
        }
        guard let prompt = row["prompt"], let completion = row["completion"] else {
            throw row.error(
                "no pair found; give \"problem\" with \"think\" and \"short\", \"instruction\" with \"output\", "
                    + "\"prompt\" with \"completion\", or \"messages\"")
        }
        let problem = try prompt.array.map { try ChatRecord.userText($0, of: row) } ?? prompt.string
        let response = try completion.array.map { try ChatRecord.assistantText($0, of: row) } ?? completion.string
        guard let problem, let response else {
            throw row.error("\"prompt\" and \"completion\" must be strings or lists of messages")
        }
        return (problem, response)
    }

    private static func half(_ response: String, _ row: DataRow) throws -> PairHalf {
        if response.utf8.starts(with: "<think>".utf8) {
            return .think(try think(dropping("<think>", from: response), row))
        }
        if response.utf8.starts(with: "<short>".utf8) {
            return .short(try short(dropping("<short>", from: response), row))
        }
        throw row.error("the response starts with neither <think> nor <short>")
    }

    /// Removes a leading control token and the line feed after it.
    private static func dropping(_ control: String, from text: String) -> String {
        var rest = text.utf8[...]
        if rest.starts(with: control.utf8) { rest = rest.dropFirst(control.utf8.count) }
        if rest.first == UInt8(ascii: "\n") { rest = rest.dropFirst() }
        return String(decoding: rest, as: UTF8.self)
    }

    private static func think(_ text: String, _ row: DataRow) throws -> Pair.ThinkResponse {
        let ends = text.byteOffsets(of: "</think>", limit: 2)
        guard ends.count == 1 else {
            throw row.error("the think response has \(ends.isEmpty ? "no" : "more than one") </think>")
        }
        try refuseControlTokens(text, row)
        return Pair.ThinkResponse(
            working: text.bytes(0..<ends[0]), answer: text.bytes(ends[0] + "</think>".utf8.count..<text.utf8.count))
    }

    private static func short(_ text: String, _ row: DataRow) throws -> String {
        if text.containsBytes(of: "</think>") { throw row.error("the short response contains </think>") }
        try refuseControlTokens(text, row)
        return text
    }

    private static func refuseControlTokens(_ text: String, _ row: DataRow) throws {
        for control in ["<think>", "<short>"] where text.containsBytes(of: control) {
            throw row.error("the response contains \(control) after its start")
        }
    }
}
