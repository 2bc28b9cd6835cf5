import CheckpointIO
import OrderedJSON

/// Answers that were written down before, found by the text of their problem.
///
/// Read as they are: OpenR1 rows (`generations`, of which the first complete and right one is taken), OpenThoughts rows
/// (`deepseek_reasoning` with `deepseek_solution`; `conversations`, with their own marks of thought and solution),
/// dialogues (`messages`), `response`, `completion`, `output` or `generation`, each with `reasoning_content` or
/// `reasoning` beside it or `<think>…</think>` in it, and pairs (`think`, `short`).
public struct RecordedTeacher: Teacher {
    private struct Record {
        var think: TeacherAnswer?
        var short: TeacherAnswer?
    }

    public let settings: JSON
    private let mode: Mode
    private let answers: [String: Record]

    /// - Throws: `DataFileError` naming file and line.
    public init(path: String, mode: Mode) throws {
        self.mode = mode
        var answers: [String: Record] = [:]
        try DataFile.forEachRow(path: path) { row in
            let problem = try ProblemFile.problem(row).problem.trimmed
            // The first row of a problem stands.
            guard answers[problem] == nil else { return }
            answers[problem] = try Self.record(row)
        }
        self.answers = answers
        settings = ["kind": "file", "sha256": .string(try FileDigest.sha256(path: path))]
    }

    public func answer(_ problem: Problem, at index: Int) async throws -> TeacherReply {
        let record = answers[problem.problem.trimmed]
        guard let answer = mode == .think ? record?.think : record?.short else {
            return .refused(reason: "no answer is recorded")
        }
        return .answer(answer)
    }

    private static func record(_ row: DataRow) throws -> Record {
        if row["think"] != nil || row["short"] != nil {
            return Record(
                think: try row.text("think").map { TeacherAnswer(text: $0) },
                short: try row.text("short").map { TeacherAnswer(text: $0) })
        }
        guard let answer = try answer(row) else {
            throw row.error(
                "no recorded answer found; give \"response\", \"messages\", \"conversations\", \"generations\" or "
                    + "\"think\" and \"short\"")
        }
        return Record(think: answer, short: answer)
    }

    private static func answer(_ row: DataRow) throws -> TeacherAnswer? {
        if let generations = row["generations"]?.array { return try generation(generations, row) }
        if let solution = try row.text("deepseek_solution") {
            return TeacherAnswer(text: solution, reasoning: try row.text("deepseek_reasoning"))
        }
        if let turns = row["conversations"]?.array ?? row["messages"]?.array {
            let exchange = try ChatRecord.exchange(turns, of: row)
            return marked(TeacherAnswer(text: exchange.assistant, reasoning: exchange.reasoning))
        }
        guard let text = try row.text(anyOf: ["response", "completion", "output", "generation"]) else { return nil }
        return marked(
            TeacherAnswer(
                text: text, reasoning: try row.text(anyOf: ["reasoning_content", "reasoning"]),
                isTruncated: row["truncated"]?.bool ?? (row["finish_reason"]?.string == "length")))
    }

    /// Of several answers to one problem the first that is complete and right, else complete, else the first.
    private static func generation(_ generations: [JSON], _ row: DataRow) throws -> TeacherAnswer? {
        let texts = generations.map(\.string)
        guard !texts.isEmpty, !texts.contains(nil) else {
            throw row.error("\"generations\" must be a list of texts, and not an empty one")
        }
        func flags(_ key: String) -> [Bool?] { row[key]?.array.map { $0.map(\.bool) } ?? [] }
        let (complete, right) = (flags("is_reasoning_complete"), flags("correctness_math_verify"))
        func isComplete(_ index: Int) -> Bool { index < complete.count ? complete[index] ?? true : true }
        func isRight(_ index: Int) -> Bool { index < right.count ? right[index] ?? true : true }
        let chosen =
            texts.indices.first { isComplete($0) && isRight($0) } ?? texts.indices.first(where: isComplete) ?? 0
        return TeacherAnswer(text: texts[chosen] ?? "", isTruncated: !isComplete(chosen))
    }

    /// OpenThoughts marks thought and solution in words of its own.
    private static func marked(_ answer: TeacherAnswer) -> TeacherAnswer {
        func between(_ start: String, _ end: String) -> String? {
            guard let from = answer.text.byteOffsets(of: start, limit: 1).first,
                let to = answer.text.byteOffsets(of: end, limit: 1).first, from + start.utf8.count <= to
            else { return nil }
            return answer.text.bytes(from + start.utf8.count..<to)
        }
        guard let thought = between("<|begin_of_thought|>", "<|end_of_thought|>") else { return answer }
        var marked = answer
        marked.reasoning = thought.trimmed
        marked.text = between("<|begin_of_solution|>", "<|end_of_solution|>")?.trimmed ?? ""
        marked.isTruncated = marked.text.isEmpty
        return marked
    }
}
