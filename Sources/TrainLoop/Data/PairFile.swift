import OrderedJSON

extension Pair {
    /// The row of a pair file.
    package var json: JSON {
        let prompt = context.isEmpty ? ("problem", .string(problem)) : PromptText.member(problem, after: context)
        var members = JSONObject([("id", .string(id)), prompt])
        for (key, value) in [("think", think?.text), ("short", short), ("answer", answer), ("level", level)] {
            if let value { members[key] = .string(value) }
        }
        return .object(members)
    }
}

/// Reads and writes pair files, in the formats and forms of rows that docs/data.md lists.
///
/// A row has both responses (`think`: working, `</think>`, answer; and `short`), or one that starts with `<think>` or
/// `<short>` or has its thinking in a field of its own. Single responses to the same prompt are combined into pairs,
/// wherever they stand in the file. A line feed right after the control token is dropped, because the encoder adds it
/// again.
public enum PairFile {
    /// Reads all pairs of a file.
    ///
    /// - Parameters:
    ///   - path: the file; `-` is standard input.
    ///   - map: other names of fields.
    /// - Returns: the pairs, in the order in which the file first names their problems.
    /// - Throws: `DataFileError` with the path and the line, element or row, also if the file has no rows.
    public static func read(path: String, map: FieldMap? = nil) throws -> [Pair] {
        try read(path: path, map: map, uses: nil)
    }

    /// Reads all pairs of a file; `uses` receives the fields that are read.
    ///
    /// - Throws: as `read(path:map:)`.
    package static func read(path: String, map: FieldMap?, uses: FieldUses?) throws -> [Pair] {
        var pairs: [Pair] = []
        // Indices of incomplete pairs by prompt, oldest first; all pairs of a prompt lack the same half.
        var incomplete: [String: ArraySlice<Int>] = [:]
        try DataFile.forEachRow(path: path, map: map, .required(withResponses: true), uses: uses) { row in
            if row["think"] != nil || row["short"] != nil {
                pairs.append(try ownPair(row))
                return
            }
            guard let response = try row.response() else {
                throw row.error(
                    "no pair found; give \"problem\" with \"think\" and \"short\", \"instruction\" with \"output\", "
                        + "\"prompt\" with \"completion\", or \"messages\", or name the fields with --map")
            }
            let half = try half(response, row)
            var pair = try self.pair(row, think: nil, short: nil)
            let prompt = pair.promptText
            if let oldest = incomplete[prompt]?.first, half.fits(pairs[oldest]) {
                incomplete[prompt]?.removeFirst()
                half.fill(&pairs[oldest])
                return
            }
            half.fill(&pair)
            incomplete[prompt, default: []].append(pairs.count)
            pairs.append(pair)
        }
        return pairs
    }

    /// Whether a row holds a pair or a half of one instead of a problem.
    static func isPair(_ row: DataRow) -> Bool {
        if row["think"] != nil || row["short"] != nil { return true }
        // OpenR1 rows are problems with recorded answers.
        guard row["generations"] == nil else { return false }
        let found: RowResponse?
        do { found = try row.response() } catch { return row["completion"] != nil || row["output"] != nil }
        guard let response = found else { return false }
        return response.reasoning != nil || (try? half(response, row)) != nil || (try? row.prompt()) == nil
            || (row["problem"] == nil && row["question"] == nil)
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
        try pair(
            row, think: row.text("think").map { try think(dropping("<think>", from: $0), row) },
            short: row.text("short").map { try short(dropping("<short>", from: $0), row) })
    }

    private static func pair(_ row: DataRow, think: Pair.ThinkResponse?, short: String?) throws -> Pair {
        let problem = try ProblemFile.problem(row)
        var pair = Pair(
            id: problem.id, problem: problem.problem, think: think, short: short, answer: problem.answer,
            level: problem.level)
        (pair.context, pair.origin) = (problem.context, problem.origin)
        return pair
    }

    private static func half(_ response: RowResponse, _ row: DataRow) throws -> PairHalf {
        if let reasoning = response.reasoning {
            for text in [reasoning, response.text] where text.containsBytes(of: "</think>") {
                throw row.error("the think response has more than one </think>")
            }
            return .think(try think(reasoning + "</think>" + response.text, row))
        }
        let text = response.text.withoutThoughtTags
        let start = text.utf8.drop(while: \.isASCIISpace)
        if start.starts(with: "<think>".utf8) {
            return .think(try think(dropping("<think>", from: String(decoding: start, as: UTF8.self)), row))
        }
        if start.starts(with: "<short>".utf8) {
            return .short(try short(dropping("<short>", from: String(decoding: start, as: UTF8.self)), row))
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

extension String {
    /// An answer with OpenThoughts' tags as one with `<think>` and `</think>`.
    fileprivate var withoutThoughtTags: String {
        guard containsBytes(of: "<|begin_of_thought|>") else { return self }
        var text = self
        for (tag, replacement) in [
            ("<|begin_of_thought|>", "<think>"), ("<|end_of_thought|>", "</think>"), ("<|begin_of_solution|>", ""),
            ("<|end_of_solution|>", ""),
        ] { text = text.replacing(tag, with: replacement) }
        return text
    }
}
