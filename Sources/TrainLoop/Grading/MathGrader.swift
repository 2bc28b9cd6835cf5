/// Whether two answers say the same mathematics.
///
/// Integers, decimals, fractions, mixed numbers, percentages, money and units, surds, complex numbers, polynomials and
/// rational functions, points, intervals and their unions, sets and lists, matrices, equations, inequalities, numbers
/// in a base, and words. Numbers are exact fractions; expressions are compared by exact algebra, and at random points
/// only where functions or nested roots leave algebra without a verdict. What is too long or too large for that is
/// equal only to itself. `docs/grading.md` says what counts as equal and how this compares with others.
public struct MathGrader: AnswerGrader {
    public init() {}

    public func areRight(_ answers: [GradedAnswer]) -> [Bool] {
        answers.map { Self.areEquivalent($0.answer, $0.truth) }
    }

    /// Answers longer than this many bytes are equal only if their bytes are.
    static let maximumByteCount = 2000

    /// True if the answer says what the truth says. Not symmetric: to a numeral only a numeral is equal, since an
    /// answer that still has to be worked out (`2+3` for 5) gives the problem back.
    public static func areEquivalent(_ answer: String, _ truth: String) -> Bool {
        let answer = answer.trimmed
        let truth = truth.trimmed
        if answer.utf8.elementsEqual(truth.utf8) { return true }
        guard answer.utf8.count <= maximumByteCount, truth.utf8.count <= maximumByteCount else { return false }
        // A comma may group thousands or separate items; either reading may be the right one.
        for answerJoins in [true, false] {
            let left = AnswerParser.value(answer, joinsThousands: answerJoins)
            for truthJoins in [true, false] {
                let right = AnswerParser.value(truth, joinsThousands: truthJoins)
                if areEqual(left.value, answer, right.value, truth) { return true }
                if !right.hasAmbiguousCommas { break }
            }
            if !left.hasAmbiguousCommas { break }
        }
        return false
    }

    private static func areEqual(
        _ left: AnswerValue, _ answer: String, _ right: AnswerValue, _ truth: String
    ) -> Bool {
        if AnswerComparison.areEqual(left, right) { return true }
        // Where the truth is no mathematics, or is letters that may name options, both are compared as texts.
        let isLetters = !truth.utf8.contains { (48...57).contains($0) }
        guard right.isText || (left.isText && isLetters) else { return false }
        let text = AnswerValue.plainText(answer)
        return text != .text("") && text == AnswerValue.plainText(truth)
    }
}

extension AnswerValue {
    fileprivate var isText: Bool {
        if case .text = self { true } else { false }
    }
}
