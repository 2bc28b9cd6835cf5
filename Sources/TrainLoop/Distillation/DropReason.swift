/// Why a problem gave no pair.
package enum DropReason: String, Sendable, CaseIterable {
    case noThinkAnswer = "no-think-answer"
    case noShortAnswer = "no-short-answer"
    case truncatedThink = "think-truncated"
    case truncatedShort = "short-truncated"
    case noThinkEnd = "think-without-end"
    case noWorking = "think-without-working"
    case emptyShort = "short-empty"
    case strayTag = "stray-tag"
    case thinkWithoutResult = "think-without-result"
    case shortWithoutResult = "short-without-result"
    case uncertainThink = "think-result-uncertain"
    case uncertainShort = "short-result-uncertain"
    case differingThink = "think-result-differs"
    case differingShort = "short-result-differs"
    case noTruth = "no-answer-to-grade-against"
    case wrongThink = "think-wrong"
    case wrongShort = "short-wrong"

    /// A sentence for reports.
    package var text: String {
        switch self {
        case .noThinkAnswer: "the think teacher has no answer"
        case .noShortAnswer: "the short teacher has no answer"
        case .truncatedThink: "the think answer is truncated"
        case .truncatedShort: "the short answer is truncated"
        case .noThinkEnd: "the think answer has no </think>"
        case .noWorking: "the think answer has no thinking"
        case .emptyShort: "the short answer is empty"
        case .strayTag: "an answer has a misplaced <think>, </think> or <short>"
        case .thinkWithoutResult: "no result was found in the think answer"
        case .shortWithoutResult: "no result was found in the short answer"
        case .uncertainThink: "the think answer has no box, and its result is not certain"
        case .uncertainShort: "the short answer has no box, and its result is not certain"
        case .differingThink: "the think answer has no box, and its result is not the known one"
        case .differingShort: "the short answer has no box, and its result is not the known one"
        case .noTruth: "the problem has no answer to grade against"
        case .wrongThink: "the think answer is wrong"
        case .wrongShort: "the short answer is wrong"
        }
    }
}
