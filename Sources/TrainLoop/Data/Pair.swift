import OrderedJSON

/// One problem with a long and a short response.
public struct Pair: Sendable, Equatable {
    /// The two parts of a think response, without the control tokens around them.
    public struct ThinkResponse: Sendable, Equatable {
        /// Between `<think>` and `</think>`.
        public var working: String
        /// After `</think>`.
        public var answer: String

        public init(working: String, answer: String) {
            self.working = working
            self.answer = answer
        }

        /// As it stands in a pair file.
        public var text: String { working + "</think>" + answer }
    }

    public var id: String
    /// The user's message.
    public var problem: String
    /// nil where the file has only the other half.
    public var think: ThinkResponse?
    /// The short response without its control token; nil where the file has only the other half.
    public var short: String?
    /// The ground truth, where known.
    public var answer: String?
    public var level: String?

    public init(
        id: String, problem: String, think: ThinkResponse?, short: String?, answer: String? = nil,
        level: String? = nil
    ) {
        self.id = id
        self.problem = problem
        self.think = think
        self.short = short
        self.answer = answer
        self.level = level
    }

    /// True with both halves.
    public var isComplete: Bool { think != nil && short != nil }

    /// The row of a pair file.
    public var json: JSON {
        var members = JSONObject([("id", .string(id)), ("problem", .string(problem))])
        for (key, value) in [("think", think?.text), ("short", short), ("answer", answer), ("level", level)] {
            if let value { members[key] = .string(value) }
        }
        return .object(members)
    }
}

/// Reads and writes files of pairs.
///
/// Read as they are: our own rows, whose `think` holds working, `</think>` and answer; Thinkless's `instruction` and
/// `output`; TRL's `prompt` and `completion` (texts or messages) and `messages`. The last three hold one response a
/// row, which begins with `<think>` or `<short>`; rows of the same problem are put together into pairs, wherever in
/// the file they stand. In every form a line feed right after the control token is dropped: the encoder writes it.
public enum PairFile {
    /// - Throws: `DataFileError` naming file and line, also for a file without rows.
    public static func read(path: String) throws -> [Pair] {
        var pairs: [Pair] = []
        // Pairs that still miss a half, by problem; the oldest is filled first.
        var waiting: [String: [Int]] = [:]
        try DataFile.forEachRow(path: path) { row in
            if row["think"] != nil || row["short"] != nil {
                pairs.append(try ownPair(row))
                return
            }
            let (problem, response) = try exchange(row)
            guard problem.contains(where: { !$0.isWhitespace }) else { throw row.error("the problem is empty") }
            let half = try half(response, row)
            if let place = waiting[problem]?.firstIndex(where: { half.fits(pairs[$0]) }) {
                half.fill(&pairs[waiting[problem]!.remove(at: place)])
                return
            }
            var pair = Pair(
                id: try row.text("id") ?? String(row.number), problem: problem, think: nil, short: nil,
                answer: try row.text("answer"), level: try row.text("level"))
            half.fill(&pair)
            waiting[problem, default: []].append(pairs.count)
            pairs.append(pair)
        }
        return pairs
    }

    /// Writes our own rows, whole or not at all.
    ///
    /// - Throws: `DataFileError`.
    public static func write(_ pairs: [Pair], to path: String, overwrite: Bool) throws {
        try DataFile.write(pairs.lazy.map(\.json), to: path, overwrite: overwrite)
    }

    private enum Half {
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

    private static func half(_ response: String, _ row: DataRow) throws -> Half {
        if response.utf8.starts(with: "<think>".utf8) {
            return .think(try think(dropping("<think>", from: response), row))
        }
        if response.utf8.starts(with: "<short>".utf8) {
            return .short(try short(dropping("<short>", from: response), row))
        }
        throw row.error("the response begins with neither <think> nor <short>")
    }

    /// A text without the control token and the line feed that follows it.
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
            throw row.error("the response contains \(control) after its beginning")
        }
    }
}
