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
    case teacher(ModelAnswer)
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
        /// The teacher's text with a `\boxed{}`; if it has none, its result is appended in one.
        ///
        /// That result must be certain, and equal to the known answer if there is one.
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
    package func pair(_ problem: Problem, think: ModelAnswer?, short: ShortResponseSource) -> PairOutcome {
        do throws(Drop) {
            let isClipped = think?.isTruncated == true || short.isTruncated
            return .kept(try assembled(problem, think, short), clipped: isClipped)
        } catch { return .dropped(error.reason) }
    }

    private func assembled(
        _ problem: Problem, _ think: ModelAnswer?, _ short: ShortResponseSource
    ) throws(Drop) -> Pair {
        guard let think else { throw Drop(.noThinkAnswer) }
        let long = try thinkHalf(think, of: problem)
        let brief: String
        switch short {
        case .textAfterThinking: brief = long.answer.withoutLeadingLineFeeds
        case .teacher(let answer): brief = try shortHalf(answer, of: problem)
        case .missing: throw Drop(.noShortAnswer)
        }
        if brief.trimmed.isEmpty { throw Drop(.emptyShort) }
        try refuseTags(in: long.working)
        try grade(problem, think: long.answer, short: brief)
        return problem.pair(think: long, short: brief)
    }

    private func refuseTags(in text: String) throws(Drop) {
        for tag in ["<think>", "</think>", "<short>"] where text.containsBytes(of: tag) { throw Drop(.strayTag) }
    }

    private struct Drop: Error {
        let reason: DropReason

        init(_ reason: DropReason) { self.reason = reason }
    }

    private func thinkHalf(_ answer: ModelAnswer, of problem: Problem) throws(Drop) -> Pair.ThinkResponse {
        if answer.isTruncated, truncated == .drop { throw Drop(.truncatedThink) }
        var (working, rest) = try parts(answer)
        working = working.withoutLeadingLineFeeds
        if working.trimmed.isEmpty { throw Drop(.noWorking) }
        rest = rest.withoutTrailingSpace
        let half = Half(mode: .think, problem: problem, isTruncated: answer.isTruncated)
        return Pair.ThinkResponse(working: working, answer: try formed(rest, orFrom: working, half))
    }

    /// Splits an answer into the thinking and the rest.
    private func parts(_ answer: ModelAnswer) throws(Drop) -> (working: String, rest: String) {
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

    private func shortHalf(_ answer: ModelAnswer, of problem: Problem) throws(Drop) -> String {
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
        let half = Half(mode: .short, problem: problem, isTruncated: answer.isTruncated)
        return try formed(text, orFrom: nil, half)
    }

    /// Which half of a pair is formed.
    private struct Half {
        let mode: Mode
        let problem: Problem
        let isTruncated: Bool

        func reason(_ think: DropReason, _ short: DropReason) -> Drop { Drop(mode == .think ? think : short) }
        var missing: Drop { reason(.thinkWithoutResult, .shortWithoutResult) }
        var uncertain: Drop { reason(.uncertainThink, .uncertainShort) }
    }

    /// Brings a text to the answer form; the result is taken from `other` if the text is empty.
    private func formed(_ text: String, orFrom other: String?, _ half: Half) throws(Drop) -> String {
        try refuseTags(in: text)
        let isEmpty = text.trimmed.isEmpty
        let source = isEmpty ? other ?? "" : text
        switch form {
        case .asIs:
            if isEmpty { throw half.missing }
            return text
        case .bare: return try result(in: source, half)
        case .boxed:
            if AnswerExtraction.answer(in: text, rule: .boxed) != nil { return text }
            var box = try result(in: source, half)
            // Money: a lone dollar sign would open mathematics.
            if box.hasPrefix("$"), !box.dropFirst().contains("$") { box = "\\" + box }
            let boxed = (isEmpty ? "\n" : text + "\n\n") + "\\boxed{\(box)}"
            // Braces without a partner in the text would end the box elsewhere.
            guard AnswerExtraction.answer(in: boxed, rule: .boxed) == box else { throw half.uncertain }
            return boxed
        }
    }

    /// The content of the box in a text, or else its result, if that is certain and not known to be wrong.
    private func result(in text: String, _ half: Half) throws(Drop) -> String {
        if let box = AnswerExtraction.answer(in: text, rule: .boxed) { return box }
        switch AnswerExtraction.reading(of: text, rule: .any) {
        case .none: throw half.missing
        case .unreadable, .likely: throw half.uncertain
        case .certain(let result):
            guard let truth = half.problem.knownAnswer else {
                // The result may have been cut.
                if half.isTruncated { throw half.uncertain }
                return result
            }
            guard MathGrader.areEquivalent(result, truth) else {
                throw grades(half.mode)
                    ? half.reason(.wrongThink, .wrongShort) : half.reason(.differingThink, .differingShort)
            }
            return result
        }
    }

    /// Whether pairs whose answer in this mode is wrong are dropped.
    private func grades(_ mode: Mode) -> Bool {
        switch keep {
        case .all: false
        case .correct: true
        case .correctThink: mode == .think
        case .correctShort: mode == .short
        }
    }

    /// Whether a teacher's answer is right, whatever becomes of its pair.
    func isRight(_ answer: ModelAnswer, _ mode: Mode, truth: String) -> Bool {
        guard !answer.isTruncated else { return false }
        var text = answer.text
        if let end = text.byteOffsets(of: "</think>").last {
            text = text.bytes(end + "</think>".utf8.count..<text.utf8.count)
        }
        // The answer of a model without reasoning may stand in the reasoning, with nothing after it.
        if mode == .think, text.trimmed.isEmpty { text = answer.reasoning ?? answer.text }
        return AnswerExtraction.answer(in: text, rule: .any).map { MathGrader.areEquivalent($0, truth) } ?? false
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
        if grades(.think), !isRight(think) { throw Drop(.wrongThink) }
        if grades(.short), !isRight(short) { throw Drop(.wrongShort) }
    }
}

extension Problem {
    /// The answer, if it is one that results can be compared with.
    var knownAnswer: String? { answer.flatMap { GroundTruth($0).defect == nil ? $0 : nil } }
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
