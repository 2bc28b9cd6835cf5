import Tokenization

/// A problem with a long and a short response.
public struct Pair: Sendable, Equatable {
    /// A response with thinking, without its control tokens.
    public struct ThinkResponse: Sendable, Equatable {
        /// The text between `<think>` and `</think>`.
        public var working: String
        /// The text after `</think>`.
        public var answer: String

        public init(working: String, answer: String) {
            self.working = working
            self.answer = answer
        }

        /// The response as a pair file spells it, without the leading `<think>`.
        public var text: String { working + "</think>" + answer }
    }

    /// The row's id, or its number in the file.
    public var id: String
    /// The user's message.
    public var problem: String
    /// nil if the file has only the short response.
    public var think: ThinkResponse?
    /// The short response without its control token; nil if the file has only the long one.
    public var short: String?
    /// The ground truth, if known.
    public var answer: String?
    /// The level of difficulty, if known.
    public var level: String?
    /// The turns before the user's message, such as a system message.
    public var context: [ChatMessage] = []
    /// Where the pair comes from, for messages.
    package var origin = RowOrigin()

    public init(
        id: String, problem: String, think: ThinkResponse?, short: String?, answer: String? = nil,
        level: String? = nil
    ) {
        self.id = id
        self.problem = problem
        self.think = think
        self.short = short
        self.answer = answer
        self.level = level
    }

    /// Whether both responses are present.
    public var isComplete: Bool { think != nil && short != nil }

    /// The problem without its responses.
    package var asProblem: Problem {
        var result = Problem(id: id, problem: problem, answer: answer, level: level)
        (result.context, result.origin) = (context, origin)
        return result
    }
}

extension Problem {
    /// The problem with two responses.
    func pair(think: Pair.ThinkResponse, short: String) -> Pair {
        var pair = Pair(id: id, problem: problem, think: think, short: short, answer: answer, level: level)
        (pair.context, pair.origin) = (context, origin)
        return pair
    }
}
