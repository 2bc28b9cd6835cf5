import OrderedJSON

/// What a teacher said to one problem.
public struct TeacherAnswer: Sendable, Equatable {
    /// As it was given: with `<think>` and `</think>`, or only what follows them where `reasoning` is apart.
    public var text: String
    /// Thinking that came apart from the text, as servers with a reasoning parser send it.
    public var reasoning: String?
    /// The answer did not end by itself.
    public var isTruncated: Bool
    /// As the teacher counts, where it says.
    public var tokenCount: Int?

    public init(text: String, reasoning: String? = nil, isTruncated: Bool = false, tokenCount: Int? = nil) {
        self.text = text
        self.reasoning = reasoning
        self.isTruncated = isTruncated
        self.tokenCount = tokenCount
    }
}

/// What came of asking a teacher.
public enum TeacherReply: Sendable, Equatable {
    case answer(TeacherAnswer)
    /// The teacher has none to this problem, or will not give one; asking again would not help.
    case refused(reason: String)
}

/// One who answers problems in one mode.
public protocol Teacher: Sendable {
    /// Who it is and how it is asked: answers are gone on with only under equal settings.
    var settings: JSON { get }

    /// May be called for many problems at once.
    ///
    /// - Parameter index: of the problem in its file; names the random numbers of a sampled answer.
    /// - Throws: `TeacherError`.
    func answer(_ problem: Problem, at index: Int) async throws -> TeacherReply
}

/// How a teacher samples, and how it is asked.
public struct TeacherSampling: Sendable, Equatable {
    public var temperature = 0.6
    public var topP = 0.95
    public var maximumTokens: Int
    public var seed: UInt64 = 0
    /// The user's message; `{problem}` stands for the problem.
    public var prompt = "{problem}"

    public init(maximumTokens: Int) { self.maximumTokens = maximumTokens }

    func message(for problem: Problem) -> String { prompt.replacing("{problem}", with: problem.problem) }

    var json: [(String, JSON)] {
        [
            ("temperature", .double(temperature)), ("top_p", .double(topP)), ("max_tokens", .integer(maximumTokens)),
            ("seed", .string(String(seed))), ("prompt", .string(prompt)),
        ]
    }

    /// - Throws: `OptionError` naming the flag.
    public func check(flagPrefix: String) throws {
        let require = OptionError.require
        try require(temperature >= 0 && temperature <= 10, "--\(flagPrefix)-temperature must lie in 0...10")
        try require(topP > 0 && topP <= 1, "--\(flagPrefix)-top-p must lie above 0 and at most at 1")
        try require((1...1 << 20).contains(maximumTokens), "--\(flagPrefix)-max-tokens must lie in 1...1048576")
        try require(
            prompt.contains("{problem}"), "--\(flagPrefix)-prompt must contain {problem}, where the problem is put in")
    }
}

/// Why a teacher gave no reply.
public enum TeacherError: Error, Equatable, CustomStringConvertible {
    /// Every try failed; another time may be better.
    case unanswered(String)
    /// No problem will fare better.
    case useless(String)

    public var description: String {
        switch self {
        case .unanswered(let reason), .useless(let reason): reason
        }
    }
}
