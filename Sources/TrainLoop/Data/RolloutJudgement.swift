import OrderedJSON

/// The judgement of a response in a rollout log.
///
/// The log has the mode and the form as token ids gave them; in its text, a spelled tag looks like a control token.
package struct RolloutJudgement: Sendable, Equatable {
    package var verdict: Verdict
    package var mode: Mode?
    /// The rule by which the answer was found; nil in logs of earlier versions.
    package var rule: AnswerRule?
    /// What judged the answer: `math`, `exact` or `command`; nil in logs of earlier versions.
    package var source: String?

    /// nil if the row is not of a rollout log.
    init?(_ row: DataRow) {
        guard row["advantage"] != nil, let outcome = row["outcome"]?.string.flatMap(Outcome.init(rawValue:)),
            let reward = row["reward"]?.double
        else { return nil }
        verdict = Verdict(
            outcome: outcome, defect: row["defect"]?.string.flatMap(FormDefect.init(rawValue:)),
            answer: row["found"]?.string, reward: reward)
        mode = row["mode"]?.string.flatMap(Mode.init(rawValue:))
        rule = row["answer_rule"]?.string.flatMap(AnswerRule.init(rawValue:))
        source = row["reward_source"]?.string
    }

    /// The form of the response, given that of its text.
    func form(of text: ResponseForm) -> ResponseForm {
        var form = text
        form.mode = mode
        form.defect = verdict.defect == .noAnswer ? nil : verdict.defect
        return form
    }
}
