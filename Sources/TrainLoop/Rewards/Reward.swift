import OrderedJSON

/// The result of grading a response.
package enum Outcome: String, Sendable, CaseIterable, Codable {
    case right, wrong
    /// The response has a defect of form or no answer.
    case malformed
    /// The response hit the length limit; it counts as wrong.
    case truncated
}

/// Outcome and reward of one response.
package struct Verdict: Sendable, Equatable, Codable {
    package var outcome: Outcome
    /// nil if the form has no defect.
    package var defect: FormDefect?
    /// The answer that the answer rule found.
    package var answer: String?
    package var reward: Double

    package init(outcome: Outcome, defect: FormDefect? = nil, answer: String? = nil, reward: Double) {
        self.outcome = outcome
        self.defect = defect
        self.answer = answer
        self.reward = reward
    }
}

/// Scores responses.
package protocol Reward: Sendable {
    /// Returns one verdict per query, in order.
    ///
    /// - Throws: if a query cannot be scored at all, for example without ground truth.
    func score(_ queries: [RewardQuery]) throws -> [Verdict]
}

/// Why a reward could not be computed.
package enum RewardError: Error, Equatable, CustomStringConvertible {
    case missingAnswer(problem: String)
    case program(command: String, failure: String)

    package var description: String {
        switch self {
        case .program(let command, let failure):
            "the reward program `\(command.onOneLine(limit: 200))` \(failure.onOneLine())"
        case .missingAnswer(let problem): "problem \"\(problem)\" has no answer to grade against"
        }
    }
}
