extension Evaluation {
    /// Means over answers, with standard errors clustered by problem.
    package struct Summary: Sendable {
        package var count: Int
        /// The share of right answers by each reported rule, the deciding one first.
        package var passAtOne: [(rule: AnswerRule, share: ClusteredMean)]
        /// Tokens of responses.
        package var tokens: ClusteredMean
        /// Mean tokens of prompt and response, #Tokens in the Thinkless paper.
        package var promptAndResponse: Double
        package var thinkShare: Double
        package var shortShare: Double
        /// Answers that hit the length limit; they count as wrong.
        package var truncatedShare: Double
        /// Answers with a defect of form, or without a final answer by the deciding rule.
        package var malformedShare: Double
        /// Answers whose thinking was ended by the budget.
        package var thinkingCutShare: Double
        /// Mean P(`<think>`) over the answered problems.
        package var pThink: Double

        /// The share of right answers by the deciding rule.
        package var accuracy: Double { passAtOne[0].share.mean }
        package var meanTokens: Double { tokens.mean }
    }

    /// Summarises the answers under a condition, at one level or at all, in one mode or in both.
    package func summary(_ condition: Condition, level: String? = nil, mode: Mode? = nil) -> Summary {
        let chosen = answers(condition, level: level).filter { mode == nil || $0.mode == mode }
        let byProblem = Dictionary(grouping: chosen, by: \.problem).sorted { $0.key < $1.key }
        func clustered(_ value: (Answer) -> Double) -> ClusteredMean {
            ClusteredMean(byProblem.map { (sum: $0.value.reduce(0) { $0 + value($1) }, count: $0.value.count) })
        }
        func share(_ isMember: (Answer) -> Bool) -> Double { clustered { isMember($0) ? 1 : 0 }.mean }
        return Summary(
            count: chosen.count,
            passAtOne: options.rules.map { rule in (rule, clustered { $0.isRight(by: rule) ? 1 : 0 }) },
            tokens: clustered { Double($0.tokenCount) },
            promptAndResponse: clustered { Double(promptTokenCounts[$0.problem] + $0.tokenCount) }.mean,
            thinkShare: share { $0.mode == .think }, shortShare: share { $0.mode == .short },
            truncatedShare: share(\.isTruncated),
            malformedShare: share { $0.outcomes[options.rule] == .malformed },
            thinkingCutShare: share(\.isThinkingCut),
            pThink: ClusteredMean(values: byProblem.map { firstToken[$0.key].think }).mean)
    }

    /// The mean per-problem difference of the shares of right answers between this model and another.
    ///
    /// It has a smaller error than the difference of two means (Miller 2024, arXiv 2411.00640, section 4.2).
    package func gain(over other: Evaluation, _ condition: Condition, level: String? = nil) -> ClusteredMean {
        func shares(_ evaluation: Evaluation) -> [Int: Double] {
            Dictionary(grouping: evaluation.answers(condition, level: level), by: \.problem).mapValues { answers in
                Double(answers.count { $0.isRight(by: options.rule) }) / Double(answers.count)
            }
        }
        let (mine, theirs) = (shares(self), shares(other))
        return ClusteredMean(
            values: mine.sorted { $0.key < $1.key }.compactMap { problem, share in
                theirs[problem].map { share - $0 }
            })
    }
}
