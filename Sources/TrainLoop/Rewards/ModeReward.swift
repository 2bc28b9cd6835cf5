/// The reward of Thinkless: right answers earn more without thinking than with it.
package struct ModeReward: Reward {
    /// The reward of each outcome.
    package struct Values: Sendable, Equatable {
        package var shortRight: Double
        package var thinkRight: Double
        /// For wrong and truncated responses.
        package var shortWrong: Double
        /// For wrong and truncated responses.
        package var thinkWrong: Double
        package var malformed: Double

        /// 1 for a right short answer, 1 − γ for a right answer after thinking, −1 for everything else.
        package init(gamma: Double = 0.5) {
            shortRight = 1
            thinkRight = 1 - gamma
            shortWrong = -1
            thinkWrong = -1
            malformed = -1
        }

        /// The ratio accuracy_short / accuracy_think above which short mode earns more; 1 − γ/2 by default.
        ///
        /// nil if wrong answers of the two modes have different rewards, because then no ratio decides.
        package var breakEven: Double? {
            guard shortWrong == thinkWrong, shortRight > shortWrong else { return nil }
            return (thinkRight - thinkWrong) / (shortRight - shortWrong)
        }

        package func value(of outcome: Outcome, mode: Mode?) -> Double {
            switch (outcome, mode) {
            case (.malformed, _), (_, nil): malformed
            case (.right, .think): thinkRight
            case (.right, .short): shortRight
            case (.wrong, .think), (.truncated, .think): thinkWrong
            case (.wrong, .short), (.truncated, .short): shortWrong
            }
        }
    }

    package var values: Values
    package var rule: AnswerRule
    package var grader: any AnswerGrader

    package init(values: Values = Values(), rule: AnswerRule = .boxed, grader: any AnswerGrader = MathGrader()) {
        self.values = values
        self.rule = rule
        self.grader = grader
    }

    package func score(_ queries: [RewardQuery]) throws -> [Verdict] {
        try queries.map { query in
            guard let truth = query.problem.answer else {
                throw RewardError.missingAnswer(problem: query.problem.id)
            }
            var verdict = Verdict(outcome: .malformed, defect: query.form.defect, reward: 0)
            if verdict.defect == nil {
                verdict.answer = query.answer(by: rule)
                if query.form.isTruncated {
                    verdict.outcome = .truncated
                } else if let answer = verdict.answer {
                    verdict.outcome = grader.isRight(answer, truth: truth) ? .right : .wrong
                } else {
                    verdict.defect = .noAnswer
                }
            }
            verdict.reward = values.value(of: verdict.outcome, mode: query.form.mode)
            return verdict
        }
    }
}
