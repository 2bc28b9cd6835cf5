import OrderedJSON

/// Grades recorded responses and adds up how they did.
public struct ResponseGrading: Sendable {
    /// A response with its verdict by the rule asked for.
    public struct Item: Sendable {
        public var response: RecordedResponse
        public var form: ResponseForm
        public var verdict: Verdict

        /// The row of the file with the verdict added as `grade`.
        public var json: JSON {
            var row = response.row
            row["grade"] = [
                "mode": form.mode.map { .string($0.rawValue) } ?? .null, "outcome": .string(verdict.outcome.rawValue),
                "defect": verdict.defect.map { .string($0.rawValue) } ?? .null,
                "found": verdict.answer.map { .string($0) } ?? .null,
                "reward": form.mode == nil ? .null : .double(verdict.reward),
            ]
            return row
        }
    }

    /// How a set of responses did.
    public struct Tally: Sendable, Equatable {
        public var count = 0
        public var outcomes: [Outcome: Int] = [:]
        public var truncated = 0

        public var accuracy: Double { count == 0 ? .nan : Double(outcomes[.right] ?? 0) / Double(count) }

        mutating func add(_ item: Item) {
            count += 1
            outcomes[item.verdict.outcome, default: 0] += 1
            truncated += item.form.isTruncated ? 1 : 0
        }

        var json: JSON {
            var members = JSONObject([("responses", .integer(count)), ("accuracy", .double(accuracy))])
            for outcome in Outcome.allCases { members[outcome.rawValue] = .integer(outcomes[outcome] ?? 0) }
            return .object(members)
        }
    }

    public var items: [Item] = []
    public var all = Tally()
    /// "think", "short", "none"
    public var byMode: [(name: String, tally: Tally)] = []
    public var byLevel: [(name: String, tally: Tally)] = []
    /// What the accuracy would be by every answer rule.
    public var accuracyByRule: [(rule: AnswerRule, accuracy: Double)] = []

    /// - Throws: what the reward's grader throws.
    public init(_ responses: [RecordedResponse], reward: ModeReward) throws {
        let forms = responses.map { ResponseForm.ofText($0.response, isTruncated: $0.isTruncated) }
        let queries = zip(responses, forms).map {
            RewardQuery(problem: $0.problem, form: $1.form, answerText: $1.answer)
        }
        for rule in AnswerRule.allCases {
            var reward = reward
            let isAskedFor = rule == reward.rule
            reward.rule = rule
            let verdicts = try reward.score(queries)
            let right = verdicts.count { $0.outcome == .right }
            accuracyByRule.append((rule, responses.isEmpty ? .nan : Double(right) / Double(responses.count)))
            guard isAskedFor else { continue }
            items = zip(zip(responses, forms), verdicts).map { Item(response: $0.0, form: $0.1.form, verdict: $1) }
        }
        for item in items { all.add(item) }
        byMode = Self.tallies(items) { $0.form.mode?.rawValue ?? "none" }
        byLevel = Self.tallies(items) { $0.response.problem.level }
    }

    private static func tallies(_ items: [Item], by name: (Item) -> String?) -> [(name: String, tally: Tally)] {
        var tallies: [String: Tally] = [:]
        for item in items { if let name = name(item) { tallies[name, default: Tally()].add(item) } }
        return tallies.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The summary; see `schemas/grade.schema.json`.
    public var json: JSON {
        func object(_ tallies: [(name: String, tally: Tally)]) -> JSON {
            .object(JSONObject(tallies.map { ($0.name, $0.tally.json) }))
        }
        return [
            "all": all.json, "by_mode": object(byMode), "by_level": object(byLevel),
            "accuracy_by_rule": .object(JSONObject(accuracyByRule.map { ($0.rule.rawValue, .double($0.accuracy)) })),
        ]
    }

    /// Writes every row with its verdict, whole or not at all.
    ///
    /// - Throws: `DataFileError`.
    public func write(to path: String, overwrite: Bool) throws {
        try DataFile.write(items.lazy.map(\.json), to: path, overwrite: overwrite)
    }
}
