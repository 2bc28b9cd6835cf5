import OrderedJSON
import Transformer

/// The file in which `ckpt eval` stores its answers, one per line, and from which it resumes.
///
/// Each row names its weights, data and settings. One file may hold answers of several checkpoints and data files, but
/// not of different settings, which would not be comparable.
package final class AnswerLog {
    /// The checkpoint and the data that answers belong to.
    package struct Subject: Sendable {
        /// The path of the checkpoint, for reports.
        package var checkpoint: String
        /// SHA-256 of the weights.
        package var weightsDigest: String
        package var data: String

        package init(checkpoint: String, weightsDigest: String, data: String) {
            self.checkpoint = checkpoint
            self.weightsDigest = weightsDigest
            self.data = data
        }
    }

    package var path: String { log.path }
    private let log: LineLog
    private let settings: JSON
    private var rows: [DataRow] = []
    /// The lines of an earlier run that were left out; their answers are made again.
    package private(set) var damage = LogDamage()

    /// Opens or creates the file for answers with these options; discards existing content if `replacing`.
    ///
    /// - Throws: `DataFileError` if the file cannot be used, is in use, or has rows that are not answers under these
    ///   settings.
    package init(path: String, options: Evaluation.Options, replacing: Bool) throws {
        settings = EvaluationProtocol(options).settings
        log = try LineLog(path: path, replacing: replacing)
        guard !log.isEmpty else { return }
        var keys = Set<[String]>()
        (damage.lines, damage.damaged) = try DataFile.forEachWholeRow(path: path, startingWith: "{\"checkpoint\":") {
            guard (try? answer($0, problem: 0)) != nil, $0["digest"] != nil, $0["index"]?.int != nil,
                let settings = $0["settings"]?.object
            else { return false }
            try check(settings, of: $0)
            if keys.insert(Self.key($0)).inserted { rows.append($0) } else { damage.repeated += 1 }
            return true
        }
        guard !rows.isEmpty else {
            throw DataFileError(
                path: path, place: "line 1",
                reason: "the row is not an answer stored by ckpt eval; give another file, or --force to replace this "
                    + "one")
        }
    }

    /// What no two answers have in common.
    private static func key(_ row: DataRow) -> [String] {
        ["digest", "data", "index", "forced", "sample"].map { row[$0]?.plainText ?? "" }
    }

    private func check(_ found: JSONObject, of row: DataRow) throws {
        guard let wanted = settings.object else { return }
        func value(_ key: String, in settings: JSONObject) -> JSON {
            settings[key]
                ?? (["weights", "products", "cache"].contains(key) ? .string(WeightPrecision.fp32.rawValue) : .null)
        }
        for key in wanted.keys + found.keys {
            let (other, own) = (value(key, in: found), value(key, in: wanted))
            guard other != own else { continue }
            throw row.error(
                "the answers have other settings (\(key) \(other.serialized()), now \(own.serialized())); "
                    + "give another file, or --force to replace this one")
        }
    }

    /// What is stored of an evaluation on these problems.
    ///
    /// - Throws: `DataFileError` if a row is incomplete or answers another problem.
    package func kept(of subject: Subject, to problems: [Problem]) throws -> KeptAnswers {
        var kept = KeptAnswers()
        for row in rows {
            guard row["digest"]?.string == subject.weightsDigest, row["data"]?.string == subject.data,
                let problem = row["index"]?.int, problem < problems.count
            else { continue }
            guard problem >= 0, row["problem"]?.string == problems[problem].problem,
                row["answer"]?.string == problems[problem].answer
            else {
                throw row.error(
                    "the row answers another problem than row \(problem + 1) of \(subject.data); give another file, or "
                        + "--force to replace this one")
            }
            kept.answers.append(try answer(row, problem: problem))
            if let think = row["p_think"]?.double, let short = row["p_short"]?.double {
                kept.firstToken[problem] = [think, short]
            }
        }
        return kept
    }

    private func answer(_ row: DataRow, problem: Int) throws -> Evaluation.Answer {
        func mode(_ key: String) -> Mode? { row[key]?.string.flatMap(Mode.init(rawValue:)) }
        guard let sample = row["sample"]?.int, sample >= 0, let tokens = row["tokens"]?.int, tokens >= 0,
            let truncated = row["truncated"]?.bool, let cut = row["thinking_cut"]?.bool,
            let text = row["completion"]?.string, let outcome = row["outcome"]?.object
        else { throw row.error("the answer is incomplete; remove the line, or give --force to replace the file") }
        var outcomes: [AnswerRule: Outcome] = [:]
        var found: [AnswerRule: String] = [:]
        for rule in AnswerRule.allCases {
            outcomes[rule] = outcome[rule.rawValue]?.string.flatMap(Outcome.init(rawValue:))
            found[rule] = row["found"]?[rule.rawValue]?.string
            guard outcomes[rule] != nil else {
                throw row.error(
                    "the answer has no outcome by the rule \(rule.rawValue); remove the line, or give --force to "
                        + "replace the file")
            }
        }
        return Evaluation.Answer(
            problem: problem, forced: mode("forced"), sample: sample, mode: mode("mode"), outcomes: outcomes,
            found: found, isTruncated: truncated, isThinkingCut: cut, tokenCount: tokens, text: text)
    }

    /// Appends answers.
    ///
    /// - Throws: `DataFileError`.
    package func append(
        _ answers: [Evaluation.Answer], of subject: Subject, to problems: [Problem],
        _ facts: EvaluationHooks.PromptFacts
    ) throws {
        try log.append(answers.map { row($0, subject, problems[$0.problem], facts).serialized() + "\n" }.joined())
    }

    private func row(
        _ answer: Evaluation.Answer, _ subject: Subject, _ problem: Problem, _ facts: EvaluationHooks.PromptFacts
    ) -> JSON {
        func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
        func byRule(_ value: (AnswerRule) -> String?) -> JSON {
            .object(JSONObject(AnswerRule.allCases.map { ($0.rawValue, text(value($0))) }))
        }
        let question: [(String, JSON)] = [
            ("checkpoint", .string(subject.checkpoint)), ("digest", .string(subject.weightsDigest)),
            ("data", .string(subject.data)), ("index", .integer(answer.problem)), ("id", .string(problem.id)),
            ("level", text(problem.level)), ("problem", .string(problem.problem)), ("answer", text(problem.answer)),
            ("forced", text(answer.forced?.rawValue)), ("sample", .integer(answer.sample)),
        ]
        let response: [(String, JSON)] = [
            ("mode", text(answer.mode?.rawValue)), ("outcome", byRule { answer.outcomes[$0]?.rawValue }),
            ("found", byRule { answer.found[$0] }), ("truncated", .bool(answer.isTruncated)),
            ("thinking_cut", .bool(answer.isThinkingCut)), ("tokens", .integer(answer.tokenCount)),
            ("prompt_tokens", .integer(facts.tokenCounts[answer.problem])),
            ("p_think", .double(facts.firstToken[answer.problem].think)),
            ("p_short", .double(facts.firstToken[answer.problem].short)), ("completion", .string(answer.text)),
            ("settings", settings),
        ]
        return .object(JSONObject(question + response))
    }
}
