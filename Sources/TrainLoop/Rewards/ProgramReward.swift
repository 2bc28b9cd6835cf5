import OrderedJSON

/// A reward computed by the user's own program, which decides whether each response is right and may set its reward.
///
/// Each batch is one line of JSON in each direction. To the program: `{"responses": [{"id", "problem", "answer",
/// "level", "mode", "response", "found"}, …]}`. Back: `{"results": [R, …]}`, one result per response in the same order,
/// where R is `true`, `false`, or `{"right": true, "reward": 0.3}`; this reward replaces the one by mode and outcome.
/// Malformed and truncated responses are not sent; the options set their rewards.
package struct ProgramReward: Reward {
    private let values: ModeReward.Values
    private let rule: AnswerRule
    private let program: LineProgram

    /// Starts the program and sends it an empty batch, so that a broken program fails before training starts.
    ///
    /// `/bin/sh` runs the command; `timeout` is in seconds per batch. `values` are the rewards of results without one,
    /// and `rule` finds the answer that is sent as `found`.
    ///
    /// - Throws: `RewardError.program`.
    package init(command: String, timeout: Double, values: ModeReward.Values, rule: AnswerRule) throws {
        self.values = values
        self.rule = rule
        program = try LineProgram(command: command, timeout: timeout)
        _ = try ask([])
    }

    package func score(_ queries: [RewardQuery]) throws -> [Verdict] {
        var verdicts = queries.map { query in
            Verdict(
                outcome: query.form.defect != nil ? .malformed : query.form.isTruncated ? .truncated : .wrong,
                defect: query.form.defect, answer: query.answer(by: rule), reward: 0)
        }
        let sent = verdicts.indices.filter { verdicts[$0].outcome == .wrong }
        let results = sent.isEmpty ? [] : try ask(sent.map { row(queries[$0], verdicts[$0]) })
        for index in verdicts.indices {
            verdicts[index].reward = values.value(of: verdicts[index].outcome, mode: queries[index].form.mode)
        }
        for (index, result) in zip(sent, results) {
            verdicts[index].outcome = result.isRight ? .right : .wrong
            verdicts[index].reward =
                result.reward ?? values.value(of: verdicts[index].outcome, mode: queries[index].form.mode)
        }
        return verdicts
    }

    private func row(_ query: RewardQuery, _ verdict: Verdict) -> JSON {
        [
            "id": .string(query.problem.id), "problem": .string(query.problem.problem),
            "answer": query.problem.answer.map { .string($0) } ?? .null,
            "level": query.problem.level.map { .string($0) } ?? .null,
            "mode": query.form.mode.map { .string($0.rawValue) } ?? .null, "response": .string(query.responseText),
            "found": verdict.answer.map { .string($0) } ?? .null,
        ]
    }

    private func ask(_ rows: [JSON]) throws -> [(isRight: Bool, reward: Double?)] {
        let request: JSON = ["responses": .array(rows)]
        let line = try program.answer(to: request.serialized())
        guard let reply = try? JSON.parse(line), let results = reply["results"]?.array else {
            throw program.failure("answered \"\(Self.excerpt(line))\", which is not a line {\"results\": […]}")
        }
        guard results.count == rows.count else {
            throw program.failure(
                "returned \(counted(results.count, "result")) for \(counted(rows.count, "response"))")
        }
        return try results.enumerated().map { index, result in
            if let isRight = result.bool { return (isRight, nil) }
            let reward = result["reward"]
            guard let isRight = result["right"]?.bool, reward == nil || reward?.double?.isFinite == true else {
                throw program.failure(
                    "returned \(Self.excerpt(Array(result.serialized().utf8))) as result \(index + 1); it must be "
                        + "true, false, or {\"right\": true, \"reward\": 0.3}")
            }
            return (isRight, reward?.double)
        }
    }

    private static func excerpt(_ line: [UInt8]) -> String {
        String(decoding: line.prefix(1000), as: UTF8.self).onOneLine(limit: 60)
    }
}
