/// Why a problem gave no pair.
public enum DropReason: String, Sendable, CaseIterable {
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

    /// In the words of a report.
    public var text: String {
        switch self {
        case .noThinkAnswer: "the think teacher has no answer"
        case .noShortAnswer: "the short teacher has no answer"
        case .truncatedThink: "the think answer was cut off"
        case .truncatedShort: "the short answer was cut off"
        case .noThinkEnd: "the think answer has no </think>"
        case .noWorking: "the think answer holds no thinking"
        case .emptyShort: "the short answer is empty"
        case .strayTag: "an answer has a <think>, </think> or <short> where none belongs"
        case .thinkWithoutResult: "no result was found in the think answer"
        case .shortWithoutResult: "no result was found in the short answer"
        case .noTruth: "the problem has no answer to grade against"
        case .wrongThink: "the think answer is not right"
        case .wrongShort: "the short answer is not right"
        }
    }
}

/// Makes pairs of what teachers said: cuts the thinking off, brings both halves to one answer form, and drops what
/// should not be trained on. Pure: equal answers give equal pairs.
public struct PairAssembly: Sendable {
    /// Which pairs are kept, by the grader's word.
    public enum Keep: String, Sendable, CaseIterable {
        case all
        /// Both halves are right.
        case correct
        case correctThink = "correct-think"
        case correctShort = "correct-short"
    }

    /// What becomes of an answer that was cut off at the maximum length.
    public enum TruncatedPolicy: String, Sendable, CaseIterable {
        case drop
        /// What is there is used; thinking without an end cannot be, and drops its pair all the same.
        case clip
    }

    /// What both halves end in.
    public enum AnswerForm: String, Sendable, CaseIterable {
        /// The teacher's text, with its result in a `\boxed{}`; where it has none, the result is found by the lenient
        /// rule and put behind the text.
        case boxed
        /// The result alone.
        case bare
        /// The teacher's text.
        case asIs = "as-is"
    }

    /// What becomes of a think answer without `<think>` and `</think>`, as models write that were not made to reason.
    public enum UntaggedPolicy: String, Sendable, CaseIterable {
        case drop
        /// The whole text is the working, and its result is stated once more behind it.
        case working
    }

    public var keep = Keep.all
    public var truncated = TruncatedPolicy.drop
    public var form = AnswerForm.boxed
    public var untagged = UntaggedPolicy.drop

    public init() {}

    /// What became of a problem.
    public enum Outcome: Sendable, Equatable {
        case kept(Pair, clipped: Bool)
        case dropped(DropReason)
    }

    /// Without a second teacher the short answer is what follows `</think>`.
    ///
    /// - Parameters:
    ///   - think: nil where the teacher has none.
    ///   - short: `.some(nil)` where the teacher has none; nil where there is no second teacher.
    public func pair(_ problem: Problem, think: TeacherAnswer?, short: TeacherAnswer??) -> Outcome {
        do throws(Drop) {
            let isClipped = think?.isTruncated == true || (short ?? nil)?.isTruncated == true
            return .kept(try assembled(problem, think, short), clipped: isClipped)
        } catch { return .dropped(error.reason) }
    }

    private func assembled(
        _ problem: Problem, _ think: TeacherAnswer?, _ short: TeacherAnswer??
    ) throws(Drop) -> Pair {
        guard let think else { throw Drop(.noThinkAnswer) }
        let long = try thinkHalf(think)
        let brief: String
        if let short {
            guard let short else { throw Drop(.noShortAnswer) }
            brief = try shortHalf(short)
        } else {
            brief = long.answer.withoutLeadingLineFeeds
        }
        if brief.trimmed.isEmpty { throw Drop(.emptyShort) }
        for text in [long.working, long.answer, brief] {
            for tag in ["<think>", "</think>", "<short>"] where text.containsBytes(of: tag) { throw Drop(.strayTag) }
        }
        try grade(problem, think: long.answer, short: brief)
        return Pair(
            id: problem.id, problem: problem.problem, think: long, short: brief, answer: problem.answer,
            level: problem.level)
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

    /// The thinking and what follows it.
    private func parts(_ answer: TeacherAnswer) throws(Drop) -> (working: String, rest: String) {
        if let reasoning = answer.reasoning, !reasoning.trimmed.isEmpty {
            // Cut off within the thinking.
            if answer.text.trimmed.isEmpty, answer.isTruncated { throw Drop(.truncatedThink) }
            return (reasoning, answer.text)
        }
        let start = answer.text.utf8.prefix { $0 == 0x20 || (0x09...0x0D).contains($0) }.count
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
        // A reasoning model that answers without thinking still writes `<think></think>`, with nothing in between.
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

    /// - Parameter other: where the result is looked for if the text is empty.
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
    /// The encoder writes the line feed behind a control token, so a text of a pair begins without one.
    fileprivate var withoutLeadingLineFeeds: String {
        String(decoding: utf8.drop { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }, as: UTF8.self)
    }

    fileprivate var withoutTrailingSpace: String {
        guard let last = utf8.lastIndex(where: { $0 != 0x20 && !(0x09...0x0D).contains($0) }) else { return "" }
        return String(decoding: utf8[...last], as: UTF8.self)
    }
}
