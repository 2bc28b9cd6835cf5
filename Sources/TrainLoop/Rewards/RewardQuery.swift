/// A response as rewards see it.
package struct RewardQuery: Sendable {
    package var problem: Problem
    package var form: ResponseForm
    /// The text of `form.answer`.
    package var answerText: String
    /// The text of the whole response, control tokens included.
    package var responseText: String

    package init(problem: Problem, form: ResponseForm, answerText: String, responseText: String = "") {
        self.problem = problem
        self.form = form
        self.answerText = answerText
        self.responseText = responseText
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
