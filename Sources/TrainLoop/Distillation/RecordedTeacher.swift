import CheckpointIO
import OrderedJSON

/// A teacher whose answers come from a file, found by the text of their problem.
///
/// Supported rows: OpenR1 (`generations`, of which the first complete and right one is used), OpenThoughts
/// (`deepseek_reasoning` with `deepseek_solution`; `conversations` with tags for thought and solution), dialogues
/// (`messages`), `response`, `completion`, `output` or `generation` with the thinking in `reasoning_content`, in
/// `reasoning` or within `<think>…</think>`, and pairs (`think`, `short`).
package struct RecordedTeacher: Teacher {
    private struct Record {
        var think: ModelAnswer?
        var short: ModelAnswer?
    }

    package let settings: JSON
    private let mode: Mode
    private let answers: [String: Record]

    /// - Throws: `DataFileError` with the path and the line.
    package init(path: String, mode: Mode, map: FieldMap? = nil) throws {
        self.mode = mode
        var answers: [String: Record] = [:]
        try DataFile.forEachRow(path: path, map: map) { row in
            let problem = try ProblemFile.problem(row).problem.trimmed
            // The first row of a problem counts.
            guard answers[problem] == nil else { return }
            answers[problem] = try Self.record(row)
        }
        self.answers = answers
        settings = ["kind": "file", "sha256": .string(try DataFile.sha256(path: path))]
    }

    package func answer(_ problem: Problem, at index: Int) async throws -> ModelReply {
        let record = answers[problem.problem.trimmed]
        guard let answer = mode == .think ? record?.think : record?.short else {
            return .refused(reason: "no answer is recorded")
        }
        return .answer(answer)
    }

    private static func record(_ row: DataRow) throws -> Record {
        if row["think"] != nil || row["short"] != nil {
            return Record(
                think: try row.text("think").map { ModelAnswer(text: $0) },
                short: try row.text("short").map { ModelAnswer(text: $0) })
        }
        guard let answer = try answer(row) else {
            throw row.error(
                "no recorded answer found; give \"response\", \"messages\", \"conversations\", \"generations\" or "
                    + "\"think\" and \"short\"")
        }
        return Record(think: answer, short: answer)
    }

    private static func answer(_ row: DataRow) throws -> ModelAnswer? {
        if let generations = row["generations"]?.array { return try generation(generations, row) }
        if let solution = try row.text("deepseek_solution") {
            return ModelAnswer(text: solution, reasoning: try row.text("deepseek_reasoning"))
        }
        if let turns = row["conversations"]?.array ?? row["messages"]?.array {
            let exchange = try ChatRecord.exchange(turns, of: row)
            return splittingTags(ModelAnswer(text: exchange.assistant, reasoning: exchange.reasoning))
        }
        guard let text = try row.text(anyOf: ["response", "completion", "output", "generation"]) else { return nil }
        return splittingTags(
            ModelAnswer(
                text: text, reasoning: try row.text(anyOf: ["reasoning_content", "reasoning"]),
                isTruncated: row["truncated"]?.bool ?? (row["finish_reason"]?.string == "length")))
    }

    /// The first complete and right answer to a problem, otherwise the first complete one, otherwise the first.
    private static func generation(_ generations: [JSON], _ row: DataRow) throws -> ModelAnswer? {
        let texts = generations.map(\.string)
        guard !texts.isEmpty, !texts.contains(nil) else {
            throw row.error("\"generations\" must be a non-empty list of texts")
        }
        func flags(_ key: String) -> [Bool?] { row[key]?.array.map { $0.map(\.bool) } ?? [] }
        let (complete, right) = (flags("is_reasoning_complete"), flags("correctness_math_verify"))
        func isComplete(_ index: Int) -> Bool { index < complete.count ? complete[index] ?? true : true }
        func isRight(_ index: Int) -> Bool { index < right.count ? right[index] ?? true : true }
        let chosen =
            texts.indices.first { isComplete($0) && isRight($0) } ?? texts.indices.first(where: isComplete) ?? 0
        return ModelAnswer(text: texts[chosen] ?? "", isTruncated: !isComplete(chosen))
    }

    /// Splits an answer at the tags of OpenThoughts.
    private static func splittingTags(_ answer: ModelAnswer) -> ModelAnswer {
        func between(_ start: String, _ end: String) -> String? {
            guard let from = answer.text.byteOffsets(of: start, limit: 1).first,
                let to = answer.text.byteOffsets(of: end, limit: 1).first, from + start.utf8.count <= to
            else { return nil }
            return answer.text.bytes(from + start.utf8.count..<to)
        }
        guard let thought = between("<|begin_of_thought|>", "<|end_of_thought|>") else { return answer }
        let solution = between("<|begin_of_solution|>", "<|end_of_solution|>")?.trimmed ?? ""
        return ModelAnswer(
            text: solution, reasoning: thought.trimmed, isTruncated: solution.isEmpty, tokenCount: answer.tokenCount)
    }
}
