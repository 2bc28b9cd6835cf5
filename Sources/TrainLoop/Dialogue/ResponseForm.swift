/// How a response was meant to be given.
public enum Mode: String, Sendable, CaseIterable {
    case think, short
}

/// The ids of the three control tokens.
public struct ControlTokens: Sendable, Equatable {
    public var think: Int
    public var thinkEnd: Int
    public var short: Int

    public init(think: Int, thinkEnd: Int, short: Int) {
        self.think = think
        self.thinkEnd = thinkEnd
        self.short = short
    }

    /// The control token that chooses a mode.
    public subscript(mode: Mode) -> Int { mode == .think ? think : short }

    /// The mode that a first token chooses, nil if it is no control token.
    public func mode(of firstToken: Int) -> Mode? {
        firstToken == think ? .think : firstToken == short ? .short : nil
    }
}

/// What keeps a response from being graded.
public enum FormDefect: String, Sendable, CaseIterable {
    /// The first token is neither `<think>` nor `<short>`.
    case noControlToken = "no-control-token"
    /// `<think>` or `<short>` once more, later.
    case secondControlToken = "second-control-token"
    /// The thinking has an end without having begun, or a second end.
    case strayThinkEnd = "stray-think-end"
    /// A finished think response without `</think>`.
    case missingThinkEnd = "missing-think-end"
    /// Finished, well formed, and without an answer by the answer rule.
    case noAnswer = "no-answer"
}

/// What the token ids of a response say about its form, before any text is looked at.
///
/// The mode is the id of the first token, so no text that spells a tag can change it.
public struct ResponseForm: Sendable, Equatable {
    public var mode: Mode?
    /// True if the response did not end with a stop token.
    public var isTruncated: Bool
    /// The first defect found; `noAnswer` is for whoever reads the text.
    public var defect: FormDefect?
    /// The working of a think response: between `<think>` and `</think>`, or the end if there is none.
    public var working: Range<Int>
    /// The ids whose text holds the answer, without the stop token; empty where there is none.
    public var answer: Range<Int>

    /// - Parameters:
    ///   - tokens: the response as sampled, first token included.
    ///   - stopTokens: ids that end a response.
    public init(_ tokens: [Int], control: ControlTokens, stopTokens: Set<Int>) {
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
            // Cut off inside the thinking is truncated, which is no defect of form.
            defect = .missingThinkEnd
        }
    }
}
