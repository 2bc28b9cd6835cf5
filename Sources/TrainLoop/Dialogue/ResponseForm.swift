/// How a model responds: after thinking, or at once.
package enum Mode: String, Sendable, CaseIterable, Codable {
    case think, short
}

/// The ids of the three control tokens.
package struct ControlTokens: Sendable, Equatable {
    package var think: Int
    package var thinkEnd: Int
    package var short: Int

    package init(think: Int, thinkEnd: Int, short: Int) {
        self.think = think
        self.thinkEnd = thinkEnd
        self.short = short
    }

    /// The control token that chooses a mode.
    package subscript(mode: Mode) -> Int { mode == .think ? think : short }

    /// The mode that a first token chooses; nil if it is not a control token.
    package func mode(of firstToken: Int) -> Mode? {
        firstToken == think ? .think : firstToken == short ? .short : nil
    }
}

/// Why a response cannot be graded.
package enum FormDefect: String, Sendable, CaseIterable, Codable {
    /// The first token is neither `<think>` nor `<short>`.
    case noControlToken = "no-control-token"
    /// `<think>` or `<short>` occurs again later.
    case secondControlToken = "second-control-token"
    /// `</think>` without `<think>`, or a second `</think>`.
    case strayThinkEnd = "stray-think-end"
    /// A complete think response without `</think>`.
    case missingThinkEnd = "missing-think-end"
    /// A complete, well-formed response in which the answer rule finds no answer.
    case noAnswer = "no-answer"
}

/// The structure of a response: mode, working, answer, and the first defect.
///
/// It is read from token ids. The mode is the id of the first token, so text that spells a tag cannot change it.
package struct ResponseForm: Sendable, Equatable {
    package var mode: Mode?
    /// Whether the response lacks a stop token at its end.
    package var isTruncated: Bool
    /// The first defect; `noAnswer` is set by rewards, which read the text.
    package var defect: FormDefect?
    /// The tokens between `<think>` and `</think>`, or up to the end without `</think>`.
    package var working: Range<Int>
    /// The tokens that hold the answer, without the stop token; empty if there are none.
    package var answer: Range<Int>

    /// - Parameters:
    ///   - tokens: the response as sampled, first token included.
    ///   - control: the control tokens of the model.
    ///   - stopTokens: ids that end a response.
    package init(_ tokens: [Int], control: ControlTokens, stopTokens: Set<Int>) {
        isTruncated = tokens.last.map { !stopTokens.contains($0) } ?? true
        let end = tokens.count - (isTruncated ? 0 : 1)
        mode = tokens.first.flatMap(control.mode(of:))
        let ends = tokens.indices.filter { tokens[$0] == control.thinkEnd }
        let workingEnd = min(end, ends.first ?? end)
        switch mode {
        case .think:
            working = 1..<max(1, workingEnd)
            answer = ends.isEmpty ? end..<end : min(end, ends[0] + 1)..<end
        case .short:
            working = 0..<0
            answer = 1..<max(1, end)
        case nil:
            working = 0..<0
            answer = 0..<0
        }

        if mode == nil {
            defect = .noControlToken
        } else if tokens.dropFirst().contains(where: { control.mode(of: $0) != nil }) {
            defect = .secondControlToken
        } else if ends.count > (mode == .think ? 1 : 0) {
            defect = .strayThinkEnd
        } else if mode == .think, ends.isEmpty, !isTruncated {
            // A response cut off inside the thinking is truncated, not malformed.
            defect = .missingThinkEnd
        }
    }
}

extension ResponseForm {
    /// The form of a response of which only the text is known.
    ///
    /// A response that starts with neither control token has no mode. That is not a defect here, because models without
    /// control tokens write such responses. If it contains `</think>`, it counts as a think response: the chat template
    /// may have opened the thinking in the prompt.
    ///
    /// - Parameters:
    ///   - text: the response, control tokens included.
    ///   - isTruncated: whether generation hit the length limit.
    /// - Returns: the form, and the text that holds the answer.
    package static func ofText(_ text: String, isTruncated: Bool) -> (form: ResponseForm, answer: String) {
        let ends = text.byteOffsets(of: "</think>", limit: 2)
        let tags = ["<think>", "<short>"].map { (tag: $0, offsets: text.byteOffsets(of: $0, limit: 2)) }
        // White space may precede the tag that opens a response.
        let opening = tags.first { found in
            found.offsets.first.map { text.utf8.prefix($0).allSatisfy(\.isASCIISpace) } ?? false
        }
        var form = ResponseForm(
            mode: opening?.tag == "<think>" || (opening == nil && !ends.isEmpty)
                ? .think : opening == nil ? nil : .short,
            isTruncated: isTruncated)
        let tagCount = tags.reduce(0) { $0 + $1.offsets.count }
        if tagCount > (opening == nil ? 0 : 1) {
            form.defect = .secondControlToken
        } else if ends.count > (form.mode == .think ? 1 : 0) {
            form.defect = .strayThinkEnd
        } else if form.mode == .think, ends.isEmpty, !isTruncated {
            form.defect = .missingThinkEnd
        }
        let afterTag = opening.map { $0.offsets[0] + $0.tag.utf8.count } ?? 0
        let answerStart = form.mode == .think ? ends.first.map { $0 + "</think>".utf8.count } : afterTag
        return (form, answerStart.map { text.bytes($0..<text.utf8.count) } ?? "")
    }

    private init(mode: Mode?, isTruncated: Bool) {
        self.mode = mode
        self.isTruncated = isTruncated
        working = 0..<0
        answer = 0..<0
    }
}
