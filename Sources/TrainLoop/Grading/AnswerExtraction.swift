/// How the final answer is found in a text.
///
/// The text is the answer part of a response: the text after `</think>`, or the whole short response. The thinking is
/// never searched.
public enum AnswerRule: String, Sendable, CaseIterable, Codable {
    /// The content of the last balanced `\boxed{}` or `\fbox{}`; the default of training.
    case boxed
    /// The whole text, trimmed.
    case bare
    /// The first of these that exists: a box, the text after the last `####`, the text after the last "answer is" or
    /// "answer:", the last value of the last sentence that has one; the default of evaluation.
    case any
}

/// What stands at the place of the answer.
public enum AnswerReading: Sendable, Equatable {
    /// A marked result, or the only value of the last sentence, which the grader reads.
    case certain(String)
    /// The last of several values, or a value that text follows: read, but not sure to be the result.
    case likely(String)
    /// Something that the grader cannot read.
    case unreadable
    /// Nothing.
    case none

    /// The answer that is graded; nil if there is none or it cannot be read.
    public var answer: String? {
        switch self {
        case .certain(let text), .likely(let text): text
        case .unreadable, .none: nil
        }
    }
}

/// Finds the final answer in a text.
///
/// The time is linear in the length of any text.
public enum AnswerExtraction {
    /// Finds the final answer.
    ///
    /// - Parameters:
    ///   - text: the answer part of a response.
    ///   - rule: how the answer is marked.
    /// - Returns: the answer, trimmed; nil if there is none, it is empty, or the rule `any` cannot read it.
    public static func answer(in text: String, rule: AnswerRule) -> String? { reading(of: text, rule: rule).answer }

    /// Finds the final answer, and says whether it is certain.
    ///
    /// The content of a box, and a whole text by the rule `bare`, are certain whatever they are.
    ///
    /// - Parameters:
    ///   - text: the answer part of a response.
    ///   - rule: how the answer is marked.
    /// - Returns: what stands at the place of the answer, trimmed.
    public static func reading(of text: String, rule: AnswerRule) -> AnswerReading {
        let found: String?
        switch rule {
        case .boxed: found = boxed(text)
        case .bare: found = text
        case .any:
            guard let box = boxed(text)?.trimmed, !box.isEmpty else { return prose(text) }
            found = box
        }
        guard let answer = found?.trimmed, !answer.isEmpty else { return .none }
        return .certain(answer)
    }

    /// The rest of the line after the last `####`, and the text before it.
    static func afterHashes(_ text: String) -> (before: String, text: String)? {
        guard let offset = text.lastByteOffset(of: "####") else { return nil }
        let rest = text.bytes(offset + 4..<text.utf8.count).trimmed
        let line = rest.firstLine.trimmed
        return line.isEmpty ? nil : (text.bytes(0..<offset).trimmed, line)
    }
}
