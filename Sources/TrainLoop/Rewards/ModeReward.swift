/// The reward of the method: right answers pay, and pay less when they took thinking.
public struct ModeReward: Reward {
    /// What every outcome pays.
    public struct Values: Sendable, Equatable {
        public var shortRight: Double
        public var thinkRight: Double
        /// Wrong and truncated responses.
        public var shortWrong: Double
        public var thinkWrong: Double
        public var malformed: Double

        /// 1 for a right short answer, 1−γ for a right one after thinking, −1 for everything else.
        public init(gamma: Double = 0.5) {
            shortRight = 1
            thinkRight = 1 - gamma
            shortWrong = -1
            thinkWrong = -1
            malformed = -1
        }

        /// Short mode pays for a prompt when accuracy_short / accuracy_think is above this; 1 − γ/2 by default.
        ///
        /// nil where wrong answers of the two modes pay differently, so that no ratio decides.
        public var breakEven: Double? {
            guard shortWrong == thinkWrong, shortRight > shortWrong else { return nil }
            return (thinkRight - thinkWrong) / (shortRight - shortWrong)
        }

        /// What a response pays; truncated ones as wrong ones do.
        public func value(of outcome: Outcome, mode: Mode?) -> Double {
            switch (outcome, mode) {
            case (.malformed, _), (_, nil): malformed
            case (.right, .think): thinkRight
            case (.right, .short): shortRight
            case (.wrong, .think), (.truncated, .think): thinkWrong
            case (.wrong, .short), (.truncated, .short): shortWrong
            }
        }
    }

    public var values: Values
    public var rule: AnswerRule
    public var grader: any AnswerGrader

    public init(values: Values = Values(), rule: AnswerRule = .boxed, grader: any AnswerGrader = MathGrader()) {
        self.values = values
        self.rule = rule
        self.grader = grader
    }

    public func score(_ queries: [RewardQuery]) throws -> [Verdict] {
        var verdicts: [Verdict] = []
        verdicts.reserveCapacity(queries.count)
        var toGrade: [(index: Int, answer: GradedAnswer)] = []
        for (index, query) in queries.enumerated() {
            guard let truth = query.problem.answer else {
                throw RewardError.missingAnswer(problem: query.problem.id)
            }
            var verdict = Verdict(outcome: .wrong, defect: query.form.defect, reward: 0)
            if query.form.defect != nil {
                verdict.outcome = .malformed
            } else {
                verdict.answer = AnswerExtraction.answer(in: query.answerText, rule: rule)
                if query.form.isTruncated {
                    verdict.outcome = .truncated
                } else if let answer = verdict.answer {
                    toGrade.append(
                        (index, GradedAnswer(problem: query.problem.problem, answer: answer, truth: truth)))
                } else {
                    verdict.outcome = .malformed
                    verdict.defect = .noAnswer
                }
            }
            verdicts.append(verdict)
        }
        let grades = try grader.areRight(toGrade.map(\.answer))
        for (item, isRight) in zip(toGrade, grades) where isRight { verdicts[item.index].outcome = .right }
        for index in verdicts.indices {
            verdicts[index].reward = values.value(of: verdicts[index].outcome, mode: queries[index].form.mode)
        }
        return verdicts
    }
}
