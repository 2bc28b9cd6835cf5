/// The right answer of a problem, read as answers are.
///
/// A truth is a result, or a text that states one: in a box, behind `####`, or as in "… so the answer is 12". Words
/// (`Monday`) and options (`B`) are results.
public struct GroundTruth: Sendable, Equatable {
    /// Why no answer can equal a truth.
    public enum Defect: String, Sendable, CaseIterable {
        case empty = "it is empty"
        case tooLong = "it is too long"
        case unbalanced = "its brackets or LaTeX environments are not balanced"
        case withoutResult = "it is a text without a result"
    }

    /// The result that answers are compared with; the whole text, trimmed, if none can be read.
    public let text: String
    /// Whether a text that is not itself a result states none.
    private let lacksResult: Bool

    public init(_ truth: String) {
        var truth = truth.trimmed
        if truth.containsBytes(of: #"\\boxed"#) { truth = AnswerParser.escapedOnce(truth) }
        if let marked = Self.marked(truth) {
            (text, lacksResult) = (marked, false)
        } else if !Self.isProse(truth) {
            (text, lacksResult) = (truth, false)
        } else if case .certain(let result) = AnswerExtraction.reading(of: truth, rule: .any) {
            (text, lacksResult) = (result, false)
        } else {
            (text, lacksResult) = (truth, !Self.isShort(truth))
        }
    }

    /// Why the truth cannot be read; nil if it can.
    public var defect: Defect? {
        if text.isEmpty { return .empty }
        if text.utf8.count > MathGrader.maximumByteCount { return .tooLong }
        if lacksResult { return .withoutResult }
        return Self.isBalanced(text) ? nil : .unbalanced
    }

    /// The content of the box, or the text behind `####`.
    private static func marked(_ truth: String) -> String? {
        if truth.containsBytes(of: "box"), let box = AnswerExtraction.boxed(truth)?.trimmed, !box.isEmpty { return box }
        guard truth.containsBytes(of: "####") else { return nil }
        return AnswerExtraction.afterHashes(truth).map { AnswerExtraction.withoutMarkup($0.text) }
    }

    /// Whether the truth may be worked text: it has several lines, three words or "answer", and is not mathematics.
    private static func isProse(_ truth: String) -> Bool {
        guard truth.utf8.contains(UInt8(ascii: "\n")) || hasWords(truth, 3) || truth.containsBytes(of: "nswer") else {
            return false
        }
        return truth.utf8.count > MathGrader.maximumByteCount || !AnswerExtraction.isMathematics(truth)
    }

    /// A line of at most eight words, which is compared as text.
    private static func isShort(_ truth: String) -> Bool {
        !truth.utf8.contains(UInt8(ascii: "\n")) && !hasWords(truth, 9)
    }

    private static func hasWords(_ text: String, _ minimum: Int) -> Bool {
        var count = 0
        var length = 0
        for byte in text.utf8 {
            if (byte | 0x20) &- 97 < 26 {
                length += 1
                // Shorter runs of letters may be variables.
                if length == 2 { count += 1 }
            } else {
                // The name of a command is not a word.
                length = byte == UInt8(ascii: "\\") ? 2 : 0
            }
            if count >= minimum { return true }
        }
        return false
    }

    /// Whether braces, `\left` and `\right`, and `\begin` and `\end` pair up.
    private static func isBalanced(_ text: String) -> Bool {
        var depth = 0
        var isEscaped = false
        for byte in text.utf8 {
            if isEscaped {
                isEscaped = false
                continue
            }
            switch byte {
            case UInt8(ascii: "\\"): isEscaped = true
            case UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "}"): depth -= 1
            default: break
            }
            if depth < 0 { return false }
        }
        func count(_ command: String) -> Int {
            // `\leftarrow` is another command.
            text.byteOffsets(of: command).count { offset in
                text.utf8.dropFirst(offset + command.utf8.count).first.map { ($0 | 0x20) &- 97 >= 26 } ?? true
            }
        }
        return depth == 0 && !isEscaped && count(#"\left"#) == count(#"\right"#)
            && count(#"\begin"#) == count(#"\end"#)
    }
}
