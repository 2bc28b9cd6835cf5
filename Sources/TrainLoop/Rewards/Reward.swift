/// How a response came out.
public enum Outcome: String, Sendable, CaseIterable {
    case right, wrong
    /// Not of the form a response must have, or without an answer.
    case malformed
    /// Ended by the limit of length; counts as wrong.
    case truncated
}

/// One response, as a reward sees it.
public struct RewardQuery: Sendable {
    public var problem: Problem
    public var form: ResponseForm
    /// The text of `form.answer`.
    public var answerText: String
    /// The text of the whole response, control tokens readable.
    public var responseText: String

    public init(problem: Problem, form: ResponseForm, answerText: String, responseText: String = "") {
        self.problem = problem
        self.form = form
        self.answerText = answerText
        self.responseText = responseText
    }
}

/// What a reward says about one response.
public struct Verdict: Sendable, Equatable {
    public var outcome: Outcome
    /// nil where the form is without defect.
    public var defect: FormDefect?
    /// The answer found by the answer rule.
    public var answer: String?
    public var reward: Double

    public init(outcome: Outcome, defect: FormDefect? = nil, answer: String? = nil, reward: Double) {
        self.outcome = outcome
        self.defect = defect
        self.answer = answer
        self.reward = reward
    }
}

/// Scores responses.
public protocol Reward: Sendable {
    /// One verdict a query, in order.
    ///
    /// - Throws: where a query cannot be scored at all, such as a problem without ground truth.
    func score(_ queries: [RewardQuery]) throws -> [Verdict]
}

/// Decides whether an answer is the right one.
public protocol AnswerGrader: Sendable {
    /// Whether each answer is equivalent to the ground truth it comes with, in order.
    ///
    /// - Throws: where grading itself fails; a wrong or senseless answer is `false`.
    func areRight(_ answers: [GradedAnswer]) throws -> [Bool]
}

/// An answer and what it is graded against.
public struct GradedAnswer: Sendable, Equatable {
    public var problem: String
    public var answer: String
    public var truth: String

    public init(problem: String, answer: String, truth: String) {
        self.problem = problem
        self.answer = answer
        self.truth = truth
    }
}

/// Right if the bytes are the same.
public struct ExactGrader: AnswerGrader {
    public init() {}

    public func areRight(_ answers: [GradedAnswer]) -> [Bool] {
        answers.map { $0.answer.utf8.elementsEqual($0.truth.trimmed.utf8) }
    }
}

/// Why a reward could not be computed.
public enum RewardError: Error, Equatable, CustomStringConvertible {
    case missingAnswer(problem: String)
    /// A reward program and what it did wrong.
    case program(String, String)

    public var description: String {
        switch self {
        case .program(let command, let what): "the reward program `\(command)` \(what)"
        case .missingAnswer(let problem): "problem \"\(problem)\" has no answer to grade against"
        }
    }
}
