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
    /// - Parameter requiresAnswer: a row without ground truth is an error.
    /// - Throws: `DataFileError` naming file and line, also for a file without rows.
    public static func read(path: String, requiresAnswer: Bool = true) throws -> [RecordedResponse] {
        var responses: [RecordedResponse] = []
        try DataFile.forEachRow(path: path) { row in
            let found = try Self.responses(of: row)
            if requiresAnswer, found.contains(where: { $0.problem.answer == nil }) {
                throw row.error("no answer to grade against; give \"answer\" (or \"target\")")
            }
            responses += found
        }
        return responses
    }

    private static func responses(of row: DataRow) throws -> [RecordedResponse] {
        let truth = try row.text(anyOf: ["answer", "target", "gts"])
        let document = row["doc"]
        let text =
            try row.text(anyOf: ["problem", "question", "prompt", "input"])
            ?? ["problem", "question", "Problem"].lazy.compactMap { document?[$0]?.string }.first ?? ""
        // lm-eval's target may be a worked solution, as GSM8K's and MATH's are.
        let isTarget = row["answer"] == nil && row["target"] != nil
        let boxed = isTarget ? truth.flatMap { AnswerExtraction.answer(in: $0, rule: .boxed) } : nil
        let problem = Problem(
            id: try row.text(anyOf: ["id", "doc_id"]) ?? String(row.number), problem: text,
            answer: truth.flatMap(AnswerExtraction.afterHashes)?.text ?? boxed ?? truth,
            level: try row.text("level") ?? document?["level"]?.plainText)
        let isTruncated = row["truncated"]?.bool ?? false
        let prefilled = prefilledToken(row)
        return try texts(of: row).map { text in
            RecordedResponse(
                problem: problem, response: text.hasPrefix(prefilled) ? text : prefilled + text,
                isTruncated: isTruncated, row: .object(row.members))
        }
    }

    /// The control token with which the prompt of an lm-eval sample ends, where the mode was forced; else nothing.
    private static func prefilledToken(_ row: DataRow) -> String {
        guard let prompt = row["arguments"]?["gen_args_0"]?["arg_0"]?.string?.trimmed else { return "" }
        return ["<think>", "<short>"].first { prompt.utf8.suffix($0.utf8.count).elementsEqual($0.utf8) } ?? ""
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
        let ends = text.byteOffsets(of: "</think>", limit: 2)
        let marks = ["<think>", "<short>"].map { (mark: $0, offsets: text.byteOffsets(of: $0, limit: 2)) }
        // White space may stand before the mark that opens a response.
        let opening = marks.first { found in
            found.offsets.first.map { text.utf8.prefix($0).allSatisfy { $0 == 0x20 || (0x09...0x0D).contains($0) } }
                ?? false
        }
        var form = ResponseForm(
            mode: opening?.mark == "<think>" || (opening == nil && !ends.isEmpty)
                ? .think : opening == nil ? nil : .short,
            isTruncated: isTruncated)
        let repeats = marks.reduce(0) { $0 + $1.offsets.count }
        if repeats > (opening == nil ? 0 : 1) {
            form.defect = .secondControlToken
        } else if ends.count > (form.mode == .think ? 1 : 0) {
            form.defect = .strayThinkEnd
        } else if form.mode == .think, ends.isEmpty, !isTruncated {
            form.defect = .missingThinkEnd
        }
        let afterMark = opening.map { $0.offsets[0] + $0.mark.utf8.count } ?? 0
        let answerStart = form.mode == .think ? ends.first.map { $0 + "</think>".utf8.count } : afterMark
        return (form, answerStart.map { text.bytes($0..<text.utf8.count) } ?? "")
    }

    private init(mode: Mode?, isTruncated: Bool) {
        self.mode = mode
        self.isTruncated = isTruncated
        working = 0..<0
        answer = 0..<0
    }
}
