import Foundation
import OrderedJSON

/// Median and maximum of lengths.
package struct LengthSpread: Sendable, Equatable {
    package let median: Int
    package let largest: Int

    init(_ lengths: [Int]) {
        let sorted = lengths.sorted()
        median = sorted.isEmpty ? 0 : sorted[sorted.count / 2]
        largest = sorted.last ?? 0
    }
}

/// The content of a data file and its defects, as training would see them.
package struct DataCheck: Sendable {
    /// A kind of defect, with its frequency.
    package struct Finding: Sendable, Equatable {
        package var count: Int
        /// Follows the number of rows in a sentence: "without a think response".
        package var text: String
        /// The id of the first affected row.
        package var example: String
        /// Where that row stands; nil if it is not from a file.
        package var place: String?
    }

    /// Whether the file holds pairs instead of problems.
    package let isPairs: Bool
    /// The number of pairs or problems.
    package let count: Int
    /// Lengths of problem, think response, short response and answer, in tokens with an encoder, otherwise in bytes.
    package private(set) var lengths: [(name: String, spread: LengthSpread)] = []
    package private(set) var levels: [(name: String, count: Int)] = []
    /// The most frequent first.
    package private(set) var findings: [Finding] = []

    private var found: [String: Finding] = [:]
    /// The text of the finding for rows over the maximum length.
    package static let overlong = "over the maximum length"

    /// Checks pairs for `train-sft`.
    ///
    /// - Parameters:
    ///   - pairs: all pairs of the file.
    ///   - rule: finds the answer of a response.
    ///   - encoder: counts tokens, chat template and control tokens included; nil counts bytes.
    ///   - maximumLength: of a problem with one response; training drops pairs with a longer one.
    package init(pairs: [Pair], rule: AnswerRule, encoder: PromptEncoder? = nil, maximumLength: Int? = nil) {
        isPairs = true
        count = pairs.count
        var byName: [String: [Int]] = [:]
        for pair in pairs {
            let problem = promptLength(pair.asProblem, encoder)
            byName["problem", default: []].append(problem)
            var isTooLong = false
            for (name, text) in [("think", pair.think?.text), ("short", pair.short)] {
                guard let text else {
                    find("without a \(name) response", pair.asProblem)
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
            if isTooLong { find(Self.overlong, pair.asProblem) }
            check(pair, rule)
        }
        finish(byName, pairs.map(\.asProblem))
    }

    /// Checks problems for `train-rl` and `eval`.
    package init(problems: [Problem], encoder: PromptEncoder? = nil, maximumLength: Int? = nil) {
        isPairs = false
        count = problems.count
        var byName: [String: [Int]] = [:]
        for problem in problems {
            let length = promptLength(problem, encoder)
            byName["problem", default: []].append(length)
            if let maximumLength, length > maximumLength { find(Self.overlong, problem) }
            guard let answer = problem.answer else {
                find("without an answer to grade against", problem)
                continue
            }
            byName["answer", default: []].append(
                encoder?.tokenizer.encode(answer, parsingAddedTokens: false).count ?? answer.utf8.count)
            checkTruth(answer, problem)
        }
        finish(byName, problems)
    }

    private mutating func promptLength(_ problem: Problem, _ encoder: PromptEncoder?) -> Int {
        guard let encoder else {
            return problem.context.reduce(problem.problem.utf8.count) { $0 + $1.content.utf8.count }
        }
        do { return try encoder.prompt(for: problem.problem, after: problem.context).count } catch PromptError.tooLong {
            find("whose prompt is too long for the model", problem)
            return 0
        } catch {
            find("without a valid prompt: \(error)", problem)
            return 0
        }
    }

    private mutating func checkTruth(_ answer: String, _ row: Problem) {
        guard let defect = GroundTruth(answer).defect else { return }
        find("whose answer cannot be read: \(defect.rawValue)", row)
    }

    private mutating func check(_ pair: Pair, _ rule: AnswerRule) {
        if let truth = pair.answer { checkTruth(truth, pair.asProblem) }
        var answers: [String] = []
        for (name, text) in [("think", pair.think?.answer), ("short", pair.short)] {
            guard let text else { continue }
            guard let answer = AnswerExtraction.answer(in: text, rule: rule) else {
                find("whose \(name) response has no answer by the rule \"\(rule.rawValue)\"", pair.asProblem)
                continue
            }
            answers.append(answer)
            if let truth = pair.answer, !MathGrader.areEquivalent(answer, truth) {
                find("whose \(name) response has a wrong answer", pair.asProblem)
            }
        }
        if pair.answer == nil, answers.count == 2, !MathGrader.areEquivalent(answers[0], answers[1]) {
            find("whose responses have different answers", pair.asProblem)
        }
    }

    private mutating func find(_ text: String, _ row: Problem) {
        let first = Finding(
            count: 0, text: text, example: row.id, place: row.origin.position?.description)
        found[text, default: first].count += 1
    }

    private mutating func finish(_ byName: [String: [Int]], _ rows: [Problem]) {
        lengths = ["problem", "think", "short", "answer"].compactMap { name in
            byName[name].map { (name, LengthSpread($0)) }
        }
        var seen: Set<String> = []
        for row in rows where !seen.insert(row.promptText).inserted { find("with the problem of an earlier row", row) }
        var counts: [String: Int] = [:]
        for row in rows { if let level = row.level { counts[level, default: 0] += 1 } }
        self.levels = counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        findings = found.values.sorted { ($1.count, $0.text) < ($0.count, $1.text) }
        found = [:]
    }

    /// The report; see `schemas/check-data.schema.json`.
    package var json: JSON {
        [
            "kind": isPairs ? "pairs" : "problems", "count": .integer(count),
            "lengths": .object(
                JSONObject(
                    lengths.map {
                        ($0.name, ["median": .integer($0.spread.median), "largest": .integer($0.spread.largest)])
                    })),
            "levels": .object(JSONObject(levels.map { ($0.name, .integer($0.count)) })),
            "findings": .array(
                findings.map {
                    [
                        "count": .integer($0.count), "finding": .string($0.text), "example": .string($0.example),
                        "place": $0.place.map { .string($0) } ?? .null,
                    ]
                }),
        ]
    }

    /// Whether the first row of a file is a pair instead of a problem.
    ///
    /// - Throws: `DataFileError`.
    package static func holdsPairs(path: String, map: FieldMap? = nil) throws -> Bool {
        PairFile.isPair(try DataFile.firstRow(path: path, map: map))
    }
}
