import OrderedJSON

/// The grades of recorded responses, with summaries.
package struct ResponseGrading: Sendable {
    /// A response with its verdict.
    package struct Item: Sendable {
        package var response: RecordedResponse
        package var form: ResponseForm
        package var verdict: Verdict

        /// The row of the file with the verdict under `grade`.
        package var json: JSON {
            var row = response.row
            row["grade"] = [
                "mode": form.mode.map { .string($0.rawValue) } ?? .null, "outcome": .string(verdict.outcome.rawValue),
                "defect": verdict.defect.map { .string($0.rawValue) } ?? .null,
                "found": verdict.answer.map { .string($0) } ?? .null,
                "reward": reward.map { .double($0) } ?? .null,
            ]
            return row
        }

        /// nil if the response has no mode, on which the reward depends, unless a run judged that.
        package var reward: Double? {
            form.mode == nil && verdict.defect != .noControlToken ? nil : verdict.reward
        }
    }

    /// The summary of a set of responses.
    package struct Tally: Sendable, Equatable {
        package private(set) var outcomes: [Outcome: Int] = [:]
        /// The share of right responses, clustered by problem.
        package let accuracy: ClusteredMean
        /// The mean over responses with a reward, clustered by problem.
        package let reward: ClusteredMean

        package var count: Int { accuracy.count }

        init(_ items: [Item]) {
            for item in items { outcomes[item.verdict.outcome, default: 0] += 1 }
            let byProblem = Dictionary(grouping: items) { [$0.response.problem.id, $0.response.problem.problem] }
                .sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
            accuracy = ClusteredMean(
                byProblem.map { (sum: Double($0.count { $0.verdict.outcome == .right }), count: $0.count) })
            reward = ClusteredMean(
                byProblem.map { $0.compactMap(\.reward) }.map { (sum: $0.reduce(0, +), count: $0.count) })
        }

        var json: JSON {
            var members = JSONObject([
                ("responses", .integer(count)), ("accuracy", .double(accuracy.mean)),
                ("accuracy_standard_error", .double(accuracy.standardError)), ("mean_reward", .double(reward.mean)),
            ])
            for outcome in Outcome.allCases { members[outcome.rawValue] = .integer(outcomes[outcome] ?? 0) }
            return .object(members)
        }
    }

    package let items: [Item]
    package let all: Tally
    /// The modes are named "think", "short" and "none".
    package let byMode: [(name: String, tally: Tally)]
    package let byLevel: [(name: String, tally: Tally)]
    /// The accuracy by each answer rule; empty for a reward program, which has its own rule.
    package private(set) var accuracyByRule: [(rule: AnswerRule, accuracy: Double)] = []

    /// The number of responses per call of the reward.
    private static let batch = 256

    /// Grades responses.
    ///
    /// Rows of a rollout log keep the form that the run read from token ids, and the answer that it found by the same
    /// rule.
    ///
    /// - Parameters:
    ///   - responses: the responses with their truths.
    ///   - reward: judges them.
    ///   - keepsRewards: an outcome that the run had too gets the reward that the run gave.
    /// - Throws: errors of the reward.
    package init(_ responses: [RecordedResponse], reward: any Reward, keepsRewards: Bool = false) throws {
        let forms = responses.map { response in
            var (form, answer) = ResponseForm.ofText(response.response, isTruncated: response.isTruncated)
            if let judgement = response.judgement { form = judgement.form(of: form) }
            return (form: form, answer: answer)
        }
        let queries = zip(responses, forms).map { response, form in
            var query = RewardQuery(
                problem: response.problem, form: form.form, answerText: form.answer, responseText: response.response)
            query.recordedAnswer = response.judgement.flatMap { judgement in
                judgement.rule.map { ($0, judgement.verdict.answer) }
            }
            return query
        }
        var verdicts = try Self.verdicts(queries, reward)
        if keepsRewards {
            for (index, response) in responses.enumerated() {
                guard let judged = response.judgement?.verdict, judged.outcome == verdicts[index].outcome else {
                    continue
                }
                verdicts[index].reward = judged.reward
            }
        }
        items = zip(zip(responses, forms), verdicts).map { Item(response: $0.0, form: $0.1.form, verdict: $1) }
        for rule in AnswerRule.allCases {
            guard var other = reward as? ModeReward else { break }
            let isAskedFor = other.rule == rule
            other.rule = rule
            let right = (isAskedFor ? verdicts : try Self.verdicts(queries, other)).count { $0.outcome == .right }
            accuracyByRule.append((rule, responses.isEmpty ? .nan : Double(right) / Double(responses.count)))
        }
        (all, byMode, byLevel) = Self.tallies(of: items)
    }

    /// The grades of several files together.
    package init(_ gradings: [ResponseGrading]) {
        items = gradings.flatMap(\.items)
        (all, byMode, byLevel) = Self.tallies(of: items)
        for rule in AnswerRule.allCases {
            let parts = gradings.compactMap { grading in
                grading.accuracyByRule.first { $0.rule == rule }.map { $0.accuracy * Double(grading.items.count) }
            }
            guard parts.count == gradings.count, !items.isEmpty else { continue }
            accuracyByRule.append((rule, parts.reduce(0, +) / Double(items.count)))
        }
    }

    private static func tallies(
        of items: [Item]
    ) -> (all: Tally, byMode: [(name: String, tally: Tally)], byLevel: [(name: String, tally: Tally)]) {
        (
            Tally(items), tallies(items) { $0.form.mode?.rawValue ?? "none" },
            tallies(items) { $0.response.problem.level }
        )
    }

    private static func verdicts(_ queries: [RewardQuery], _ reward: any Reward) throws -> [Verdict] {
        try stride(from: 0, to: queries.count, by: batch).flatMap { start in
            try reward.score(Array(queries[start..<min(start + batch, queries.count)]))
        }
    }

    private static func tallies(_ items: [Item], by name: (Item) -> String?) -> [(name: String, tally: Tally)] {
        var members: [String: [Item]] = [:]
        for item in items { if let name = name(item) { members[name, default: []].append(item) } }
        return members.sorted { $0.key < $1.key }.map { ($0.key, Tally($0.value)) }
    }

    /// The summary, with that of each file if there are several; see `schemas/grade.schema.json`.
    package func json(files: [(name: String, tally: Tally)] = []) -> JSON {
        func object(_ tallies: [(name: String, tally: Tally)]) -> JSON {
            .object(JSONObject(tallies.map { ($0.name, $0.tally.json) }))
        }
        var summary: JSON = [
            "all": all.json, "by_mode": object(byMode), "by_level": object(byLevel),
            "accuracy_by_rule": .object(JSONObject(accuracyByRule.map { ($0.rule.rawValue, .double($0.accuracy)) })),
        ]
        if !files.isEmpty { summary["by_file"] = object(files) }
        return summary
    }

    /// Writes every row with its verdict, atomically.
    ///
    /// - Throws: `DataFileError`.
    package func write(to path: String, overwrite: Bool) throws {
        try DataFile.write(items.lazy.map(\.json), to: path, overwrite: overwrite)
    }
}
