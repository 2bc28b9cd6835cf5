import Transformer

/// Answers of one model to problems, free and with the mode forced, graded by several answer rules.
public struct Evaluation: Sendable {
    /// Who chooses the mode of an answer.
    public enum Condition: Hashable, Sendable {
        /// The model.
        case auto
        /// The control token was put in.
        case forced(Mode)
        /// `<think>` was put in where P(`<think>`) is at least this, `<short>` elsewhere.
        case threshold(Double)

        public static let think = Condition.forced(.think)
        public static let short = Condition.forced(.short)

        /// As reports name it.
        public var name: String {
            switch self {
            case .auto: "auto"
            case .forced(let mode): mode.rawValue
            case .threshold: "threshold"
            }
        }
    }

    /// How answers are sampled and graded. What is not said follows the method's evaluation (Thinkless,
    /// `run_eval.sh`), but for the length of answers and the number of samples.
    public struct Options: Sendable {
        public var conditions: [Condition] = [.auto]
        public var samplesPerProblem = 1
        public var prompt = EvaluationPrompt.method
        public var temperature = 0.6
        public var topP = 0.95
        public var maximumNewTokens = 1024
        /// Thinking is ended after this many tokens of a response.
        public var thinkingBudget: Int?
        /// How the weights are held that the answers are sampled with.
        public var weightPrecision = WeightPrecision.fp32
        /// What their products multiply.
        public var products = ProductPrecision.fp32
        /// The rule that decides; others are reported beside it.
        public var rule = AnswerRule.any
        public var seed: UInt64 = 0

        public init() {}

        /// The rules to report, the one that decides first. A bare answer has no box to look for.
        public var rules: [AnswerRule] {
            switch rule {
            case .any: [.any, .boxed]
            case .boxed: [.boxed, .any]
            case .bare: [.bare]
            }
        }
    }

    /// One sampled answer, graded.
    public struct Answer: Sendable, Equatable {
        public var problem: Int
        /// The mode that was put in; nil where the model chose.
        public var forced: Mode?
        public var sample: Int
        /// nil where the first token is no control token.
        public var mode: Mode?
        /// By every rule that it was graded by.
        public var outcomes: [AnswerRule: Outcome]
        /// The answers found.
        public var found: [AnswerRule: String]
        public var isTruncated: Bool
        /// The thinking was ended by the budget.
        public var isThinkingCut: Bool
        /// Tokens of the response: control token and end token included, put in or not.
        public var tokenCount: Int
        public var text: String

        public init(
            problem: Int, forced: Mode?, sample: Int, mode: Mode?, outcomes: [AnswerRule: Outcome],
            found: [AnswerRule: String], isTruncated: Bool, isThinkingCut: Bool, tokenCount: Int, text: String
        ) {
            self.problem = problem
            self.forced = forced
            self.sample = sample
            self.mode = mode
            self.outcomes = outcomes
            self.found = found
            self.isTruncated = isTruncated
            self.isThinkingCut = isThinkingCut
            self.tokenCount = tokenCount
            self.text = text
        }

        public func isRight(by rule: AnswerRule) -> Bool { outcomes[rule] == .right }
    }

    public let problems: [Problem]
    public let options: Options
    /// By problem: the length of the prompt.
    public let promptTokenCounts: [Int]
    /// P(`<think>`) and P(`<short>`) as first token, by problem.
    public let firstToken: [(think: Double, short: Double)]
    /// In the order of conditions, problems and samples.
    public let answers: [Answer]

    /// Of answers that were made elsewhere.
    public init(
        problems: [Problem], options: Options, promptTokenCounts: [Int],
        firstToken: [(think: Double, short: Double)], answers: [Answer]
    ) {
        self.problems = problems
        self.options = options
        self.promptTokenCounts = promptTokenCounts
        self.firstToken = firstToken
        self.answers = answers
    }

    /// The levels in the order in which the problems bring them; "" stands for none.
    public var levels: [String] {
        var seen: Set<String> = []
        return problems.compactMap { problem in
            let level = problem.level ?? ""
            return seen.insert(level).inserted ? level : nil
        }
    }

    /// The answers under a condition, as far as they were asked for.
    ///
    /// - Parameter level: nil means all.
    public func answers(_ condition: Condition, level: String? = nil) -> [Answer] {
        answers.filter { answer in
            guard level == nil || (problems[answer.problem].level ?? "") == level else { return false }
            return answer.forced == forcedMode(condition, problem: answer.problem)
        }
    }

    /// The mode that a condition puts in.
    func forcedMode(_ condition: Condition, problem: Int) -> Mode? {
        Self.forcedMode(condition, pThink: firstToken[problem].think)
    }

    static func forcedMode(_ condition: Condition, pThink: Double) -> Mode? {
        switch condition {
        case .auto: nil
        case .forced(let mode): mode
        case .threshold(let threshold): pThink >= threshold ? .think : .short
        }
    }
}

/// How a problem is put to the model.
public enum EvaluationPrompt: Sendable, Equatable {
    /// With the instruction of the method's evaluation in front, which its training prompts lack.
    case method
    /// The problem alone.
    case plain
    /// A text in which `{problem}` stands for the problem.
    case template(String)

    /// The text with `{problem}` for the problem.
    public var text: String {
        switch self {
        case .method: #"Please reason step by step, and put your final answer within \boxed{}."# + "\n{problem}"
        case .plain: "{problem}"
        case .template(let text): text
        }
    }

    /// nil for a text in which no problem has a place.
    public init?(_ text: String) {
        switch text {
        case "method": self = .method
        case "plain": self = .plain
        default:
            guard text.contains("{problem}") else { return nil }
            self = .template(text)
        }
    }

    func message(for problem: String) -> String { text.replacing("{problem}", with: problem) }
}
