import OrderedJSON

extension Problem {
    /// The row of a problem file.
    package var json: JSON {
        var members = JSONObject([("id", .string(id)), ("problem", .string(problem))])
        for (key, value) in [("answer", answer), ("level", level), ("source", source), ("solution", solution)] {
            if let value { members[key] = .string(value) }
        }
        return .object(members)
    }
}

/// Reads and writes problem files.
///
/// Supported rows: our own, GSM8K (`question`, `answer` with `####`), MATH, AIME and DeepScaleR (`problem`, `answer`,
/// `solution`, also with capitalised keys), verl and Thinkless (`prompt`, `reward_model.ground_truth`). A file is JSONL
/// or one JSON array.
public enum ProblemFile {
    /// Reads all problems of a file.
    ///
    /// - Parameters:
    ///   - path: a JSONL file or a JSON array of objects.
    ///   - requiresAnswer: treats a row without ground truth as an error.
    /// - Returns: the problems in the order of the file.
    /// - Throws: `DataFileError` with the path and the line or element, also if the file has no rows.
    public static func read(path: String, requiresAnswer: Bool = false) throws -> [Problem] {
        try DataFile.rows(path: path).map { row in
            let problem = try problem(row)
            if requiresAnswer, problem.answer == nil {
                throw row.error("no answer to grade against; give \"answer\" (or \"reward_model.ground_truth\")")
            }
            return problem
        }
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
        let text = try text(of: row)
        guard text.contains(where: { !$0.isWhitespace }) else { throw row.error("the problem is empty") }
        let solution = try row.text(anyOf: ["solution", "Solution", "ground_truth_solution"])
        var problem = Problem(
            id: try row.text(anyOf: ["id", "unique_id", "ID", "uuid"]) ?? String(row.number), problem: text,
            level: try row.text(anyOf: ["level", "difficulty"]),
            source: try row.text(anyOf: ["source", "data_source"]), solution: solution)
        problem.answer = try answer(of: row) ?? solution.flatMap { AnswerExtraction.answer(in: $0, rule: .boxed) }
        if row["question"] != nil, let worked = problem.answer, let marked = AnswerExtraction.afterHashes(worked) {
            problem.answer = marked.text.filter { $0 != "," }
            problem.solution = problem.solution ?? marked.before
        }
        return problem
    }

    private static func text(of row: DataRow) throws -> String {
        if let text = try row.text(anyOf: ["problem", "question", "Problem", "instruction"]) { return text }
        switch row["prompt"] {
        case .string(let text): return text
        case .array(let messages): return try ChatRecord.userText(messages, of: row)
        default: break
        }
        // Recorded dialogues: the problem is the user's message.
        guard let turns = row["conversations"]?.array ?? row["messages"]?.array else {
            throw row.error("no problem found; give \"problem\", \"question\" or \"prompt\"")
        }
        return try ChatRecord.exchange(turns, of: row).user
    }

    private static func answer(of row: DataRow) throws -> String? {
        if let answer = try row.text(anyOf: ["answer", "Answer"]) { return answer }
        guard let truth = row["reward_model"]?["ground_truth"], !truth.isNull else { return nil }
        if let text = truth.plainText { return text }
        if let only = truth.array, only.count == 1, let text = only[0].plainText { return text }
        throw row.error("\"reward_model.ground_truth\" is \(truth.kindName); it must be one string or number")
    }
}
