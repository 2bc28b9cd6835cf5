import OrderedJSON
import Transformer

/// The answers of one model to problems, with free and forced modes, graded by several answer rules.
package struct Evaluation: Sendable {
    /// How the mode of an answer is chosen.
    package enum Condition: Hashable, Sendable {
        /// By the model.
        case auto
        /// By inserting the control token.
        case forced(Mode)
        /// By inserting `<think>` if P(`<think>`) is at least this, otherwise `<short>`.
        case threshold(Double)

        package static let think = Condition.forced(.think)
        package static let short = Condition.forced(.short)

        /// The name in reports.
        package var name: String {
            switch self {
            case .auto: "auto"
            case .forced(let mode): mode.rawValue
            case .threshold: "threshold"
            }
        }
    }

    /// How answers are sampled and graded.
    ///
    /// The defaults follow Thinkless (`run_eval.sh`), except for the maximum length and the number of samples.
    package struct Options: Sendable {
        package var conditions: [Condition] = [.auto]
        package var samplesPerProblem = 1
        package var prompt = EvaluationPrompt.method
        package var temperature = 0.6
        package var topP = 0.95
        package var maximumNewTokens = 1024
        /// Ends thinking after this many tokens of a response.
        package var thinkingBudget: Int?
        /// The precision of the weights in memory.
        package var weightPrecision = WeightPrecision.fp32
        /// The precision of the factors of matrix products.
        package var products = ProductPrecision.fp32
        /// The number format of cached keys and values.
        package var cachePrecision = CachePrecision.fp32
        /// The bytes that the cache may take, unless one answer needs more.
        package var cacheByteLimit = Generator.standardCacheByteLimit
        /// The answer rule that decides; others are reported too.
        package var rule = AnswerRule.any
        package var seed: UInt64 = 0
        /// Further members of requests to a server.
        package var serverMembers = JSONObject()

        package init() {}

        /// The answer rules to report, the deciding one first.
        package var rules: [AnswerRule] {
            switch rule {
            case .any: [.any, .boxed]
            case .boxed: [.boxed, .any]
            case .bare: [.bare]
            }
        }
    }

    /// One sampled answer, graded.
    package struct Answer: Sendable, Equatable, Codable {
        /// The index of the problem.
        package var problem: Int
        /// The mode that was forced; nil if the model chose.
        package var forced: Mode?
        package var sample: Int
        /// nil if the first token is not a control token.
        package var mode: Mode?
        package var outcomes: [AnswerRule: Outcome]
        /// The final answers that the rules found.
        package var found: [AnswerRule: String]
        package var isTruncated: Bool
        /// Whether the budget ended the thinking.
        package var isThinkingCut: Bool
        /// The length of the response, including control and end tokens, inserted or sampled.
        package var tokenCount: Int
        package var text: String

        package init(
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

        package func isRight(by rule: AnswerRule) -> Bool { outcomes[rule] == .right }
    }

    package let problems: [Problem]
    package let options: Options
    /// The length of each problem's prompt.
    package let promptTokenCounts: [Int]
    /// P(`<think>`) and P(`<short>`) as first token, by problem.
    package let firstToken: [(think: Double, short: Double)]
    /// In the order of conditions, problems and samples.
    package let answers: [Answer]

    /// An evaluation of existing answers.
    package init(
        problems: [Problem], options: Options, promptTokenCounts: [Int],
        firstToken: [(think: Double, short: Double)], answers: [Answer]
    ) {
        self.problems = problems
        self.options = options
        self.promptTokenCounts = promptTokenCounts
        self.firstToken = firstToken
        self.answers = answers
    }

    /// The levels in the order of the problems; "" stands for none.
    package var levels: [String] {
        var seen: Set<String> = []
        return problems.compactMap { problem in
            let level = problem.level ?? ""
            return seen.insert(level).inserted ? level : nil
        }
    }

    /// The answers under a condition, at one level or at all.
    package func answers(_ condition: Condition, level: String? = nil) -> [Answer] {
        answers.filter { answer in
            guard level == nil || (problems[answer.problem].level ?? "") == level else { return false }
            return answer.forced == Self.forcedMode(condition, pThink: firstToken[answer.problem].think)
        }
    }

    /// The mode that a condition forces; nil if the model chooses.
    static func forcedMode(_ condition: Condition, pThink: Double) -> Mode? {
        switch condition {
        case .auto: nil
        case .forced(let mode): mode
        case .threshold(let threshold): pThink >= threshold ? .think : .short
        }
    }
}

/// The prompt template of an evaluation.
package enum EvaluationPrompt: Sendable, Equatable {
    /// The instruction of Thinkless's evaluation, which its training prompts lack, then the problem.
    case method
    /// The problem only.
    case plain
    /// A text with `{problem}` as placeholder.
    case template(String)

    /// The template, with `{problem}` as placeholder.
    package var text: String {
        switch self {
        case .method: #"Please reason step by step, and put your final answer within \boxed{}."# + "\n{problem}"
        case .plain: "{problem}"
        case .template(let text): text
        }
    }

    /// nil for a text without `{problem}`.
    package init?(_ text: String) {
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
