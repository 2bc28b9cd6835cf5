/// A response as rewards see it.
package struct RewardQuery: Sendable {
    package var problem: Problem
    package var form: ResponseForm
    /// The text of `form.answer`.
    package var answerText: String
    /// The text of the whole response, control tokens included.
    package var responseText: String
    /// The answer that a run found by a rule, which is then not searched again.
    package var recordedAnswer: (rule: AnswerRule, text: String?)?

    package init(problem: Problem, form: ResponseForm, answerText: String, responseText: String = "") {
        self.problem = problem
        self.form = form
        self.answerText = answerText
        self.responseText = responseText
    }

    /// The final answer by a rule.
    func answer(by rule: AnswerRule) -> String? {
        if let recordedAnswer, recordedAnswer.rule == rule { return recordedAnswer.text }
        return AnswerExtraction.answer(in: answerText, rule: rule)
    }
}

extension PromptEncoder {
    /// The query for a sampled response.
    package func query(_ problem: Problem, response: [Int]) -> RewardQuery {
        let form = ResponseForm(response, control: control, stopTokens: stopTokens)
        return RewardQuery(
            problem: problem, form: form, answerText: tokenizer.decode(response[form.answer]),
            responseText: text(of: response))
    }
}
