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
        case .noTruth: "the problem has no answer to grade against"
        case .wrongThink: "the think answer is wrong"
        case .wrongShort: "the short answer is wrong"
        }
    }
}

/// The pair made for a problem, or the reason why there is none.
package enum PairOutcome: Sendable, Equatable {
    /// `clipped` if an answer was truncated.
    case kept(Pair, clipped: Bool)
    case dropped(DropReason)
}

/// The origin of the short response of a pair.
package enum ShortResponseSource: Sendable {
    /// There is no second teacher: the text after `</think>` is the short response.
    case textAfterThinking
    /// The second teacher's answer.
    case teacher(TeacherAnswer)
    /// The second teacher has no answer.
    case missing

    fileprivate var isTruncated: Bool {
        if case .teacher(let answer) = self { answer.isTruncated } else { false }
    }
}

/// Makes pairs from teacher answers.
///
/// It splits off the thinking, brings both responses to one answer form, and drops pairs that are unfit for training.
/// Equal answers give equal pairs.
package struct PairAssembly: Sendable {
    /// Which pairs are kept, as graded.
    package enum Keep: String, Sendable, CaseIterable {
        case all
        /// Both responses are right.
        case correct
        case correctThink = "correct-think"
        case correctShort = "correct-short"
    }

    /// How truncated answers are treated.
    package enum TruncatedPolicy: String, Sendable, CaseIterable {
        case drop
        /// Uses the truncated text; a pair without `</think>` is still dropped.
        case clip
    }

    /// How both responses state their result.
    package enum AnswerForm: String, Sendable, CaseIterable {
        /// The teacher's text with a `\boxed{}`; if it has none, the result found by the rule `any` is appended.
        case boxed
        /// The result only.
        case bare
        /// The teacher's text, unchanged.
        case asIs = "as-is"
    }

    /// How think answers without `<think>` and `</think>` are treated, as written by models without reasoning.
    package enum UntaggedPolicy: String, Sendable, CaseIterable {
        case drop
        /// The whole text becomes the working, and its result is repeated as the answer.
        case working
    }

    package var keep = Keep.all
    package var truncated = TruncatedPolicy.drop
    package var form = AnswerForm.boxed
    package var untagged = UntaggedPolicy.drop

    package init() {}

    /// Makes the pair of a problem; `think` is nil if the teacher has no answer.
    package func pair(_ problem: Problem, think: TeacherAnswer?, short: ShortResponseSource) -> PairOutcome {
        do throws(Drop) {
            let isClipped = think?.isTruncated == true || short.isTruncated
            return .kept(try assembled(problem, think, short), clipped: isClipped)
        } catch { return .dropped(error.reason) }
    }

    private func assembled(
        _ problem: Problem, _ think: TeacherAnswer?, _ short: ShortResponseSource
    ) throws(Drop) -> Pair {
        guard let think else { throw Drop(.noThinkAnswer) }
        let long = try thinkHalf(think)
        let brief: String
        switch short {
        case .textAfterThinking: brief = long.answer.withoutLeadingLineFeeds
        case .teacher(let answer): brief = try shortHalf(answer)
        case .missing: throw Drop(.noShortAnswer)
        }
        if brief.trimmed.isEmpty { throw Drop(.emptyShort) }
        for text in [long.working, long.answer, brief] {
            for tag in ["<think>", "</think>", "<short>"] where text.containsBytes(of: tag) { throw Drop(.strayTag) }
        }
        try grade(problem, think: long.answer, short: brief)
        return problem.pair(think: long, short: brief)
    }

    private struct Drop: Error {
        let reason: DropReason

        init(_ reason: DropReason) { self.reason = reason }
    }

    private func thinkHalf(_ answer: TeacherAnswer) throws(Drop) -> Pair.ThinkResponse {
        if answer.isTruncated, truncated == .drop { throw Drop(.truncatedThink) }
        var (working, rest) = try parts(answer)
        working = working.withoutLeadingLineFeeds
        if working.trimmed.isEmpty { throw Drop(.noWorking) }
        rest = rest.withoutTrailingSpace
        return Pair.ThinkResponse(
            working: working, answer: try formed(rest, orFrom: working, .thinkWithoutResult))
    }

    /// Splits an answer into the thinking and the rest.
    private func parts(_ answer: TeacherAnswer) throws(Drop) -> (working: String, rest: String) {
        if let reasoning = answer.reasoning, !reasoning.trimmed.isEmpty {
            // Truncated within the thinking.
            if answer.text.trimmed.isEmpty, answer.isTruncated { throw Drop(.truncatedThink) }
            return (reasoning, answer.text)
        }
        let start = answer.text.utf8.prefix(while: \.isASCIISpace).count
        var text = answer.text.bytes(start..<answer.text.utf8.count)
        let isOpened = text.utf8.starts(with: "<think>".utf8)
        if isOpened { text = text.bytes("<think>".utf8.count..<text.utf8.count) }
        let ends = text.byteOffsets(of: "</think>", limit: 2)
        guard let end = ends.first else {
            if isOpened || untagged == .drop { throw Drop(answer.isTruncated ? .truncatedThink : .noThinkEnd) }
            return (text, "")
        }
        if ends.count > 1 { throw Drop(.strayTag) }
        return (text.bytes(0..<end), text.bytes(end + "</think>".utf8.count..<text.utf8.count))
    }

    private func shortHalf(_ answer: TeacherAnswer) throws(Drop) -> String {
        if answer.isTruncated, truncated == .drop { throw Drop(.truncatedShort) }
        // A reasoning model that answers without thinking still writes an empty `<think></think>`.
        var text = answer.text.withoutLeadingLineFeeds
        for tag in ["<short>", "<think>"] where text.utf8.starts(with: tag.utf8) {
            text = text.bytes(tag.utf8.count..<text.utf8.count)
        }
        if let end = text.byteOffsets(of: "</think>", limit: 1).first, text.bytes(0..<end).trimmed.isEmpty {
            text = text.bytes(end + "</think>".utf8.count..<text.utf8.count)
        }
        text = text.withoutLeadingLineFeeds.withoutTrailingSpace
        if text.trimmed.isEmpty { throw Drop(.emptyShort) }
        return try formed(text, orFrom: nil, .shortWithoutResult)
    }

    /// Brings a text to the answer form; the result is taken from `other` if the text is empty.
    private func formed(_ text: String, orFrom other: String?, _ missing: DropReason) throws(Drop) -> String {
        let source = text.trimmed.isEmpty ? other ?? "" : text
        switch form {
        case .asIs:
            if text.trimmed.isEmpty { throw Drop(missing) }
            return text
        case .bare:
            guard let result = AnswerExtraction.answer(in: source, rule: .any) else { throw Drop(missing) }
            return result
        case .boxed:
            if AnswerExtraction.answer(in: text, rule: .boxed) != nil { return text }
            guard let result = AnswerExtraction.answer(in: source, rule: .any) else { throw Drop(missing) }
            return (text.trimmed.isEmpty ? "\n" : text + "\n\n") + "\\boxed{\(result)}"
        }
    }

    private func grade(_ problem: Problem, think: String, short: String) throws(Drop) {
        guard keep != .all else { return }
        guard let truth = problem.answer else { throw Drop(.noTruth) }
        let rule: AnswerRule =
            switch form {
            case .boxed: .boxed
            case .bare: .bare
            case .asIs: .any
            }
        func isRight(_ text: String) -> Bool {
            AnswerExtraction.answer(in: text, rule: rule).map { MathGrader.areEquivalent($0, truth) } ?? false
        }
        if keep != .correctShort, !isRight(think) { throw Drop(.wrongThink) }
        if keep != .correctThink, !isRight(short) { throw Drop(.wrongShort) }
    }
}

extension String {
    /// Texts of a pair start without a line feed, because the encoder adds one after the control token.
    fileprivate var withoutLeadingLineFeeds: String {
        String(decoding: utf8.drop { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }, as: UTF8.self)
    }

    fileprivate var withoutTrailingSpace: String {
        guard let last = utf8.lastIndex(where: { !$0.isASCIISpace }) else { return "" }
        return String(decoding: utf8[...last], as: UTF8.self)
    }
}
