import OrderedJSON

/// A response that was written down, with what it is to be graded against.
public struct RecordedResponse: Sendable {
    /// The problem with its ground truth; the text is empty where the row has none.
    public var problem: Problem
    public var response: String
    /// The row says that the response was cut off.
    public var isTruncated: Bool
    /// The row as it stands in the file.
    public var row: JSON

    /// Reads recorded responses as they are: `answer` and `response`; rollout logs and the answers of an evaluation
    /// (`answer`, `completion`); samples of lm-evaluation-harness (`target`, `resps`), of which each is a response;
    /// verl's dumps (`gts`, `output`).
    ///
    /// - Throws: `DataFileError` naming file and line, also for a file without rows.
    public static func read(path: String) throws -> [RecordedResponse] {
        var responses: [RecordedResponse] = []
        try DataFile.forEachRow(path: path) { responses += try Self.responses(of: $0) }
        return responses
    }

    private static func responses(of row: DataRow) throws -> [RecordedResponse] {
        guard let truth = try row.text(anyOf: ["answer", "target", "gts"]) else {
            throw row.error("no answer to grade against; give \"answer\" (or \"target\")")
        }
        let document = row["doc"]
        let text =
            try row.text(anyOf: ["problem", "question", "prompt", "input"])
            ?? document?["problem"]?.string ?? document?["question"]?.string ?? ""
        let problem = Problem(
            id: try row.text(anyOf: ["id", "doc_id"]) ?? String(row.number), problem: text,
            answer: AnswerExtraction.afterHashes(truth)?.text ?? truth, level: try row.text("level"))
        let isTruncated = row["truncated"]?.bool ?? false
        return try texts(of: row).map {
            RecordedResponse(problem: problem, response: $0, isTruncated: isTruncated, row: .object(row.members))
        }
    }

    private static func texts(of row: DataRow) throws -> [String] {
        if let text = try row.text(anyOf: ["response", "completion", "output"]) { return [text] }
        // lm-eval: a list for every request, of one text for every repeat.
        let texts = row["resps"]?.array?.flatMap { $0.array ?? [$0] }.compactMap(\.string) ?? []
        guard !texts.isEmpty else {
            throw row.error("no response found; give \"response\", \"completion\" or \"resps\"")
        }
        return texts
    }
}

extension ResponseForm {
    /// The form of a response of which only the text is left, and the text that holds its answer.
    ///
    /// A response that begins with neither control token has no mode, which is no defect here: models without control
    /// tokens write such responses. Where it has one `</think>` all the same (a template may have opened the thinking
    /// in the prompt), it is a think response.
    public static func ofText(_ text: String, isTruncated: Bool) -> (form: ResponseForm, answer: String) {
        let start = text.utf8.prefix { $0 == 0x20 || (0x09...0x0D).contains($0) }.count
        let body = text.bytes(start..<text.utf8.count)
        let ends = body.byteOffsets(of: "</think>", limit: 2)
        let opening = ["<think>", "<short>"].first { body.utf8.starts(with: $0.utf8) }
        var form = ResponseForm(
            mode: opening == "<think>" || (opening == nil && !ends.isEmpty) ? .think : opening == nil ? nil : .short,
            isTruncated: isTruncated)
        let repeats = ["<think>", "<short>"].reduce(0) { $0 + body.byteOffsets(of: $1, limit: 2).count }
        if repeats > (opening == nil ? 0 : 1) {
            form.defect = .secondControlToken
        } else if ends.count > (form.mode == .think ? 1 : 0) {
            form.defect = .strayThinkEnd
        } else if form.mode == .think, ends.isEmpty, !isTruncated {
            form.defect = .missingThinkEnd
        }
        let answerStart = form.mode == .think ? ends.first.map { $0 + "</think>".utf8.count } : opening?.utf8.count ?? 0
        return (form, answerStart.map { body.bytes($0..<body.utf8.count) } ?? "")
    }

    private init(mode: Mode?, isTruncated: Bool) {
        self.mode = mode
        self.isTruncated = isTruncated
        working = 0..<0
        answer = 0..<0
    }
}
