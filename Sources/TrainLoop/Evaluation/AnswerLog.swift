import Foundation
import OrderedJSON
import Transformer

/// The file in which an evaluation keeps its answers, one a line, and from which it goes on after an interruption.
///
/// A row says of which weights, data and settings it is. Rows of the same settings may be of several checkpoints and
/// data files; a file with other settings is refused, since its answers could not stand in the same table.
public final class AnswerLog {
    /// The checkpoint and the data that answers are of.
    public struct Subject: Sendable {
        /// As reports name them.
        public var checkpoint: String
        /// SHA-256 over the weights.
        public var weightsDigest: String
        public var data: String

        public init(checkpoint: String, weightsDigest: String, data: String) {
            self.checkpoint = checkpoint
            self.weightsDigest = weightsDigest
            self.data = data
        }
    }

    public let path: String
    private let settings: JSON
    private let descriptor: Int32
    private var rows: [DataRow] = []

    /// Opens the file, or makes it.
    ///
    /// - Parameter replacing: what is in the file is thrown away.
    /// - Throws: `DataFileError` where the file cannot be used, is in use by another evaluation, or holds anything but
    ///   answers under these settings.
    public init(path: String, options: Evaluation.Options, replacing: Bool) throws {
        self.path = path
        settings = EvaluationProtocol(options).settings
        descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw DataFileError(path: path, reason: "cannot write: \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw DataFileError(path: path, reason: "another evaluation is writing to it; give another file")
        }
        if replacing { ftruncate(descriptor, 0) }
        try dropUnfinishedLine()
        if lseek(descriptor, 0, SEEK_END) > 0 { rows = try DataFile.rows(path: path) }
        for row in rows { try check(row) }
    }

    deinit { close(descriptor) }

    public var rowCount: Int { rows.count }

    /// A line without its end was being written when the process was killed.
    private func dropUnfinishedLine() throws {
        var end = lseek(descriptor, 0, SEEK_END)
        var byte: UInt8 = 0
        while end > 0, pread(descriptor, &byte, 1, end - 1) == 1, byte != UInt8(ascii: "\n") { end -= 1 }
        guard ftruncate(descriptor, end) == 0 else {
            throw DataFileError(path: path, reason: "cannot write: \(String(cString: strerror(errno)))")
        }
    }

    private func check(_ row: DataRow) throws {
        guard let found = row["settings"]?.object, let wanted = settings.object, row["digest"] != nil else {
            throw row.error("is no answer kept by ckpt eval; give another file, or --force to replace this one")
        }
        func value(_ key: String, in settings: JSONObject) -> JSON {
            settings[key] ?? (["weights", "products"].contains(key) ? .string(WeightPrecision.fp32.rawValue) : .null)
        }
        for key in wanted.keys + found.keys {
            let (other, own) = (value(key, in: found), value(key, in: wanted))
            guard other != own else { continue }
            throw row.error(
                "its answers are of another evaluation (\(key) \(other.serialized()), now \(own.serialized())); "
                    + "give another file, or --force to replace this one")
        }
    }

    /// The answers in the file to these problems.
    ///
    /// - Throws: `DataFileError` where a row is no answer, or is one to another problem.
    public func answers(of subject: Subject, to problems: [Problem]) throws -> [Evaluation.Answer] {
        try rows.compactMap { row in
            guard row["digest"]?.string == subject.weightsDigest, row["data"]?.string == subject.data,
                let problem = row["index"]?.int, problem < problems.count
            else { return nil }
            guard problem >= 0, row["problem"]?.string == problems[problem].problem,
                row["answer"]?.string == problems[problem].answer
            else {
                throw row.error(
                    "answers another problem than \(subject.data) has in place \(problem + 1); give another file, or "
                        + "--force to replace this one")
            }
            return try answer(row, problem: problem)
        }
    }

    private func answer(_ row: DataRow, problem: Int) throws -> Evaluation.Answer {
        func mode(_ key: String) -> Mode? { row[key]?.string.flatMap(Mode.init(rawValue:)) }
        guard let sample = row["sample"]?.int, sample >= 0, let tokens = row["tokens"]?.int, tokens >= 0,
            let truncated = row["truncated"]?.bool, let cut = row["thinking_cut"]?.bool,
            let text = row["completion"]?.string, let outcome = row["outcome"]?.object
        else { throw row.error("is no whole answer of ckpt eval; take the line out, or give --force") }
        var outcomes: [AnswerRule: Outcome] = [:]
        var found: [AnswerRule: String] = [:]
        for rule in AnswerRule.allCases {
            outcomes[rule] = outcome[rule.rawValue]?.string.flatMap(Outcome.init(rawValue:))
            found[rule] = row["found"]?[rule.rawValue]?.string
            guard outcomes[rule] != nil else {
                throw row.error("has no outcome by the rule \(rule.rawValue); take the line out, or give --force")
            }
        }
        return Evaluation.Answer(
            problem: problem, forced: mode("forced"), sample: sample, mode: mode("mode"), outcomes: outcomes,
            found: found, isTruncated: truncated, isThinkingCut: cut, tokenCount: tokens, text: text)
    }

    /// Appends answers in one write, so that a kill leaves whole lines.
    ///
    /// - Throws: `DataFileError`.
    public func append(
        _ answers: [Evaluation.Answer], of subject: Subject, to problems: [Problem],
        _ facts: EvaluationHooks.PromptFacts
    ) throws {
        let text = answers.map { row($0, subject, problems[$0.problem], facts).serialized() + "\n" }.joined()
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw DataFileError(path: path, reason: "cannot write: \(String(cString: strerror(errno)))")
            }
            bytes = bytes.dropFirst(count)
        }
    }

    private func row(
        _ answer: Evaluation.Answer, _ subject: Subject, _ problem: Problem, _ facts: EvaluationHooks.PromptFacts
    ) -> JSON {
        func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
        func byRule(_ value: (AnswerRule) -> String?) -> JSON {
            .object(JSONObject(AnswerRule.allCases.map { ($0.rawValue, text(value($0))) }))
        }
        let who: [(String, JSON)] = [
            ("checkpoint", .string(subject.checkpoint)), ("digest", .string(subject.weightsDigest)),
            ("data", .string(subject.data)), ("index", .integer(answer.problem)), ("id", .string(problem.id)),
            ("level", text(problem.level)), ("problem", .string(problem.problem)), ("answer", text(problem.answer)),
            ("forced", text(answer.forced?.rawValue)), ("sample", .integer(answer.sample)),
        ]
        let what: [(String, JSON)] = [
            ("mode", text(answer.mode?.rawValue)), ("outcome", byRule { answer.outcomes[$0]?.rawValue }),
            ("found", byRule { answer.found[$0] }), ("truncated", .bool(answer.isTruncated)),
            ("thinking_cut", .bool(answer.isThinkingCut)), ("tokens", .integer(answer.tokenCount)),
            ("prompt_tokens", .integer(facts.tokenCounts[answer.problem])),
            ("p_think", .double(facts.firstToken[answer.problem].think)),
            ("p_short", .double(facts.firstToken[answer.problem].short)), ("completion", .string(answer.text)),
            ("settings", settings),
        ]
        return .object(JSONObject(who + what))
    }
}
