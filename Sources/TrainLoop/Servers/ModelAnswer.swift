/// The answer of a model to one question.
package struct ModelAnswer: Sendable, Equatable {
    /// The unchanged text, with `<think>` and `</think>` unless `reasoning` holds the thinking.
    package var text: String
    /// Thinking apart from the text, as sent by servers with a reasoning parser.
    package var reasoning: String?
    /// Whether the answer hit the length limit.
    package var isTruncated: Bool
    /// The number of tokens, if it is known.
    package var tokenCount: Int?
    /// The number of tokens of the prompt, if it is known.
    package var promptTokenCount: Int?
    /// The first token with its distribution, if the request asked for log-probabilities and the server gave them.
    package var firstToken: FirstToken?

    package init(text: String, reasoning: String? = nil, isTruncated: Bool = false, tokenCount: Int? = nil) {
        self.text = text
        self.reasoning = reasoning
        self.isTruncated = isTruncated
        self.tokenCount = tokenCount
    }
}

/// The reply of a model to one question.
package enum ModelReply: Sendable, Equatable {
    case answer(ModelAnswer)
    /// There is no answer, or the model refuses to give one; asking again would not help.
    case refused(reason: String)

    var answer: ModelAnswer? {
        if case .answer(let answer) = self { answer } else { nil }
    }
}
