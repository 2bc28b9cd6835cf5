/// Compares answers with the ground truth.
package protocol AnswerGrader: Sendable {
    func isRight(_ answer: String, truth: String) -> Bool
}

/// Accepts only the same bytes as the result that the ground truth states.
package struct ExactGrader: AnswerGrader {
    package init() {}

    package func isRight(_ answer: String, truth: String) -> Bool {
        answer.utf8.elementsEqual(GroundTruth(truth).text.utf8)
    }
}
