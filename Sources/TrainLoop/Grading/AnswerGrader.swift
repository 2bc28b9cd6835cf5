/// Compares answers with the ground truth.
package protocol AnswerGrader: Sendable {
    func isRight(_ answer: String, truth: String) -> Bool
}

/// Accepts only the same bytes, apart from white space around the ground truth.
package struct ExactGrader: AnswerGrader {
    package init() {}

    package func isRight(_ answer: String, truth: String) -> Bool {
        answer.utf8.elementsEqual(truth.trimmed.utf8)
    }
}
