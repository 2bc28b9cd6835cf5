/// Decides whether two answers are mathematically equivalent.
///
/// It reads integers, decimals, fractions, mixed numbers, percentages, money and units, surds, complex numbers,
/// polynomials and rational functions, points, intervals and their unions, sets and lists, matrices, equations,
/// inequalities, numbers in a base, and words, in LaTeX or plain text. Numbers are exact fractions. Expressions are
/// compared by exact algebra, and at random points only if functions or nested roots leave the algebra undecided.
/// Answers that are too long or too large for that equal only themselves. Time and memory are bounded for any input.
/// `docs/grading.md` defines equivalence and compares with other graders.
public struct MathGrader: AnswerGrader {
    package init() {}

    package func isRight(_ answer: String, truth: String) -> Bool { Self.areEquivalent(answer, truth) }

    /// Longer answers, in bytes, are compared by their bytes only.
    static let maximumByteCount = 2000

    /// Compares an answer with the ground truth.
    ///
    /// The comparison is not symmetric: only a numeral equals a numeral, because an unevaluated answer (`2+3` for 5)
    /// repeats the problem.
    ///
    /// - Parameters:
    ///   - answer: the final answer of a response, without `\boxed{}`.
    ///   - truth: the right answer, or a text that states it; see `GroundTruth`.
    /// - Returns: whether the answer is equivalent to the truth.
    public static func areEquivalent(_ answer: String, _ truth: String) -> Bool {
        let answer = answer.trimmed
        let truth = GroundTruth(truth).text
        if answer.utf8.elementsEqual(truth.utf8) { return true }
        guard answer.utf8.count <= maximumByteCount, truth.utf8.count <= maximumByteCount else { return false }
        // A comma may group thousands or separate items; both readings are tried.
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
        // A truth that is not mathematics, or that has no digits and may name options, is compared as text.
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
