import OrderedJSON

/// A response from a file, with the ground truth to grade it against.
package struct RecordedResponse: Sendable {
    /// The problem with its ground truth; the text is empty if the row has none.
    package var problem: Problem
    package var response: String
    /// Whether the row marks the response as truncated.
    package var isTruncated: Bool
    /// What the run that wrote the row judged; nil for rows that are not of a rollout log.
    package var judgement: RolloutJudgement?
    /// The row of the file, unchanged.
    package var row: JSON

    /// Reads all responses of a file.
    ///
    /// Supported rows: `answer` and `response`; rollout logs and answers of `ckpt eval` (`answer`, `completion`);
    /// samples of lm-evaluation-harness (`target`, `resps`), which may hold several responses; verl's dumps (`gts`,
    /// `output`).
    ///
    /// - Parameters:
    ///   - path: a JSONL file or a JSON array.
    ///   - requiresAnswer: treats a row without ground truth as an error.
    /// - Returns: the responses in the order of the file.
    /// - Throws: `DataFileError` with the path and the line, also if the file has no rows.
    package static func read(path: String, requiresAnswer: Bool = true) throws -> [RecordedResponse] {
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
        let judgement = RolloutJudgement(row)
        let text =
            try row.text(anyOf: ["problem", "question", "prompt", "input"])
            ?? ["problem", "question", "Problem"].lazy.compactMap { document?[$0]?.string }.first ?? ""
        let problem = Problem(
            id: try row.text(anyOf: ["id", "doc_id"]) ?? String(row.number), problem: text,
            // The run read the truth of a rollout log itself.
            answer: judgement == nil ? truth.map { GroundTruth($0).text } : truth,
            level: try row.text("level") ?? document?["level"]?.plainText)
        let isTruncated = row["truncated"]?.bool ?? false
        let prefilled = prefilledToken(row)
        return try texts(of: row).map { text in
            RecordedResponse(
                problem: problem, response: text.hasPrefix(prefilled) ? text : prefilled + text,
                isTruncated: isTruncated, judgement: judgement, row: .object(row.members))
        }
    }

    /// The control token at the end of an lm-eval prompt, which forces the mode; empty if there is none.
    private static func prefilledToken(_ row: DataRow) -> String {
        guard let prompt = row["arguments"]?["gen_args_0"]?["arg_0"]?.string?.trimmed else { return "" }
        return ["<think>", "<short>"].first { prompt.utf8.suffix($0.utf8.count).elementsEqual($0.utf8) } ?? ""
    }

    private static func texts(of row: DataRow) throws -> [String] {
        if let text = try row.text(anyOf: ["response", "completion", "output"]) { return [text] }
        // lm-eval: one list per request, with one text per repeat.
        let texts = row["resps"]?.array?.flatMap { $0.array ?? [$0] }.compactMap(\.string) ?? []
        guard !texts.isEmpty else {
            throw row.error("no response found; give \"response\", \"completion\" or \"resps\"")
        }
        return texts
    }
}
