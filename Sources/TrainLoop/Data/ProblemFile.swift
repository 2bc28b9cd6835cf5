import OrderedJSON
import Tokenization

extension Problem {
    /// The row of a problem file.
    package var json: JSON {
        var members = JSONObject([("id", .string(id)), context.isEmpty ? ("problem", .string(problem)) : messages])
        for (key, value) in [("answer", answer), ("level", level), ("source", source), ("solution", solution)] {
            if let value { members[key] = .string(value) }
        }
        return .object(members)
    }

    /// The member for a prompt with several turns.
    private var messages: (String, JSON) { PromptText.member(problem, after: context) }
}

extension PromptText {
    /// The member of a row that holds a prompt with several turns.
    static func member(_ message: String, after context: [ChatMessage]) -> (String, JSON) {
        ("prompt", json(context + [ChatMessage(role: "user", content: message)]))
    }
}

/// Reads and writes problem files, in the formats and forms of rows that docs/data.md lists.
public enum ProblemFile {
    /// Reads all problems of a file.
    ///
    /// - Parameters:
    ///   - path: the file; `-` is standard input.
    ///   - map: other names of fields.
    ///   - requiresAnswer: treats a row without ground truth as an error.
    /// - Returns: the problems in the order of the file.
    /// - Throws: `DataFileError` with the path and the line, element or row, also if the file has no rows.
    public static func read(path: String, map: FieldMap? = nil, requiresAnswer: Bool = false) throws -> [Problem] {
        try read(path: path, map: map, requiresAnswer: requiresAnswer, uses: nil)
    }

    /// Reads all problems of a file; `uses` receives the fields that are read.
    ///
    /// - Throws: as `read(path:map:requiresAnswer:)`.
    package static func read(
        path: String, map: FieldMap?, requiresAnswer: Bool = false, uses: FieldUses?
    ) throws -> [Problem] {
        var problems: [Problem] = []
        try DataFile.forEachRow(path: path, map: map, .required(withResponses: false), uses: uses) { row in
            let problem = try problem(row)
            if requiresAnswer, problem.answer == nil {
                throw row.error(
                    "no answer to grade against; give \"answer\" (or \"reward_model.ground_truth\"), or name its field "
                        + "with --map")
            }
            problems.append(problem)
        }
        return problems
    }

    /// Writes problems as JSONL, atomically.
    ///
    /// - Parameters:
    ///   - problems: one row each.
    ///   - path: the file to create.
    ///   - overwrite: replaces an existing file.
    /// - Throws: `DataFileError` if the file exists or cannot be written.
    public static func write(_ problems: [Problem], to path: String, overwrite: Bool) throws {
        try DataFile.write(problems.lazy.map(\.json), to: path, overwrite: overwrite)
    }

    static func problem(_ row: DataRow) throws -> Problem {
        let prompt = try row.prompt()
        let solution = try row.text(anyOf: ["solution", "Solution", "ground_truth_solution"])
        var problem = Problem(
            id: try row.text(anyOf: ["id", "unique_id", "ID", "uuid"]) ?? String(row.number), problem: prompt.user,
            level: try row.text(anyOf: ["level", "difficulty"]),
            source: try row.text(anyOf: ["source", "data_source"]), solution: solution)
        (problem.context, problem.origin) = (prompt.context, row.origin)
        problem.answer = try answer(of: row) ?? solution.flatMap { AnswerExtraction.answer(in: $0, rule: .boxed) }
        if row["question"] != nil, let worked = problem.answer, let marked = AnswerExtraction.afterHashes(worked) {
            problem.answer = marked.text.filter { $0 != "," }
            problem.solution = problem.solution ?? marked.before
        }
        return problem
    }

    private static func answer(of row: DataRow) throws -> String? {
        for key in ["answer", "Answer", "final_answer", "expected_answer"] {
            if let value = row[key] { return try text(of: value, key, row) }
        }
        if let truth = row["reward_model"]?["ground_truth"], !truth.isNull {
            return try text(of: truth, "reward_model.ground_truth", row)
        }
        return try row["ground_truth"].map { try text(of: $0, "ground_truth", row) }
    }

    /// A text, a number, or a list of those, whose elements are the parts of one answer.
    private static func text(of value: JSON, _ key: String, _ row: DataRow) throws -> String {
        if let text = value.plainText {
            // Some data sets store the list as JSON in a text.
            guard text.hasPrefix("[\""), let list = try? JSON.parse(text), list.array != nil else { return text }
            return try self.text(of: list, key, row)
        }
        if let value = value.bool { return value ? "true" : "false" }
        let texts = value.array?.compactMap(\.plainText) ?? []
        guard !texts.isEmpty, texts.count == value.array?.count else {
            throw row.error(
                "\"\(key)\" is \(value.kindName); it must be a text, a number or a list of these, or another field must "
                    + "be named with --map")
        }
        return texts.joined(separator: ", ")
    }
}
