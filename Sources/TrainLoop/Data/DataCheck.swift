import Foundation
import OrderedJSON

/// What a data file holds, as training would read it.
public struct DataCheck: Sendable {
    /// The spread of some lengths.
    public struct Spread: Sendable, Equatable {
        public var median: Int
        public var largest: Int

        init(_ lengths: [Int]) {
            let sorted = lengths.sorted()
            median = sorted.isEmpty ? 0 : sorted[sorted.count / 2]
            largest = sorted.last ?? 0
        }

        var json: JSON { ["median": .integer(median), "largest": .integer(largest)] }
    }

    /// Something to look at before training, with how often it occurs.
    public struct Finding: Sendable, Equatable {
        public var count: Int
        public var text: String
        /// The id of the first row it was found in.
        public var example: String

        public init(count: Int, text: String, example: String) {
            self.count = count
            self.text = text
            self.example = example
        }
    }

    /// True for pairs, false for problems.
    public var isPairs: Bool
    /// Rows, after single responses were put together into pairs.
    public var count: Int
    /// Lengths of what is there, by name: problem, think, short, answer. In tokens where a tokenizer was given,
    /// otherwise in bytes.
    public var lengths: [(name: String, spread: Spread)] = []
    public var levels: [(name: String, count: Int)] = []
    public var findings: [Finding] = []

    private var found: [String: Finding] = [:]
    /// The finding of what `maximumLength` keeps out of training.
    public static let overlong = "over the maximum length"

    /// Checks pairs as `train-sft` would use them.
    ///
    /// - Parameters:
    ///   - rule: where the answer of a half stands.
    ///   - encoder: counts the tokens that training would see, chat template and control tokens included; nil: bytes.
    ///   - maximumLength: of a problem with one response; a longer one takes its pair out of training.
    public init(pairs: [Pair], rule: AnswerRule, encoder: PromptEncoder? = nil, maximumLength: Int? = nil) {
        isPairs = true
        count = pairs.count
        var byName: [String: [Int]] = [:]
        for pair in pairs {
            let problem = promptLength(pair.problem, pair.id, encoder)
            byName["problem", default: []].append(problem)
            var isTooLong = false
            for (name, text) in [("think", pair.think?.text), ("short", pair.short)] {
                guard let text else {
                    find("without a \(name) response", pair.id)
                    continue
                }
                let length =
                    encoder.map { encoder in
                        (pair.think.flatMap { name == "think" ? encoder.response($0) : nil }
                            ?? encoder.response(short: text)).count
                    } ?? text.utf8.count
                byName[name, default: []].append(length)
                if let maximumLength, problem + length > maximumLength { isTooLong = true }
            }
            if isTooLong { find(Self.overlong, pair.id) }
            check(pair, rule)
        }
        finish(byName, levels: pairs.map(\.level), texts: pairs.map { ($0.problem, $0.id) })
    }

    /// Checks problems as `train-rl` and `eval` would use them.
    public init(problems: [Problem], encoder: PromptEncoder? = nil, maximumLength: Int? = nil) {
        isPairs = false
        count = problems.count
        var byName: [String: [Int]] = [:]
        for problem in problems {
            let length = promptLength(problem.problem, problem.id, encoder)
            byName["problem", default: []].append(length)
            if let maximumLength, length > maximumLength { find(Self.overlong, problem.id) }
            guard let answer = problem.answer else {
                find("without an answer to grade against", problem.id)
                continue
            }
            byName["answer", default: []].append(
                encoder?.tokenizer.encode(answer, parsingAddedTokens: false).count ?? answer.utf8.count)
            if !MathGrader.areEquivalent(answer, answer) || answer.isEmpty {
                find("with an answer that is not equal to itself", problem.id)
            }
        }
        finish(byName, levels: problems.map(\.level), texts: problems.map { ($0.problem, $0.id) })
    }

    private mutating func promptLength(_ problem: String, _ id: String, _ encoder: PromptEncoder?) -> Int {
        guard let encoder else { return problem.utf8.count }
        do { return try encoder.prompt(for: problem).count } catch {
            find("that training would stop at: \(error)", id)
            return 0
        }
    }

    private mutating func check(_ pair: Pair, _ rule: AnswerRule) {
        var answers: [String] = []
        for (name, text) in [("think", pair.think?.answer), ("short", pair.short)] {
            guard let text else { continue }
            guard let answer = AnswerExtraction.answer(in: text, rule: rule) else {
                find("with a \(name) response without an answer by the rule \"\(rule.rawValue)\"", pair.id)
                continue
            }
            answers.append(answer)
            if let truth = pair.answer, !MathGrader.areEquivalent(answer, truth) {
                find("with a \(name) response whose answer is not the right one", pair.id)
            }
        }
        if pair.answer == nil, answers.count == 2, !MathGrader.areEquivalent(answers[0], answers[1]) {
            find("whose two responses answer differently", pair.id)
        }
    }

    private mutating func find(_ text: String, _ id: String) {
        found[text, default: Finding(count: 0, text: text, example: id)].count += 1
    }

    private mutating func finish(_ byName: [String: [Int]], levels: [String?], texts: [(text: String, id: String)]) {
        lengths = ["problem", "think", "short", "answer"].compactMap { name in
            byName[name].map { (name, Spread($0)) }
        }
        var seen: Set<String> = []
        for (text, id) in texts where !seen.insert(text).inserted { find("with a problem that was there before", id) }
        var counts: [String: Int] = [:]
        for level in levels { if let level { counts[level, default: 0] += 1 } }
        self.levels = counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        findings = found.values.sorted { ($1.count, $0.text) < ($0.count, $1.text) }
        found = [:]
    }

    /// The report; see `schemas/check-data.schema.json`.
    public var json: JSON {
        [
            "kind": isPairs ? "pairs" : "problems", "count": .integer(count),
            "lengths": .object(JSONObject(lengths.map { ($0.name, $0.spread.json) })),
            "levels": .object(JSONObject(levels.map { ($0.name, .integer($0.count)) })),
            "findings": .array(
                findings.map {
                    ["count": .integer($0.count), "finding": .string($0.text), "example": .string($0.example)]
                }),
        ]
    }

    /// Whether a file's first row is one of pairs (true) or of problems.
    ///
    /// - Throws: `DataFileError`.
    public static func holdsPairs(path: String) throws -> Bool {
        struct Found: Error { var isPairs: Bool }
        do {
            try DataFile.forEachRow(path: path) { row in
                let keys = ["think", "short", "output", "completion", "messages"]
                throw Found(isPairs: keys.contains { row[$0] != nil })
            }
        } catch let found as Found { return found.isPairs }
        return false
    }
}
