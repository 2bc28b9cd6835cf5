extension Evaluation {
    /// Means over answers, with standard errors clustered by problem.
    public struct Summary: Sendable {
        public var count: Int
        /// The share of right answers by each rule reported, the one that decides first.
        public var passAtOne: [(rule: AnswerRule, share: ClusteredMean)]
        /// Tokens of a response.
        public var tokens: ClusteredMean
        /// Mean tokens of prompt and response together, which the method's paper calls #Tokens.
        public var promptAndResponse: Double
        public var thinkShare: Double
        public var shortShare: Double
        /// Cut off at the limit of length; counts as wrong.
        public var truncatedShare: Double
        /// Neither right nor wrong nor cut off: not of the form, or without an answer by the rule that decides.
        public var malformedShare: Double
        /// The thinking was ended by the budget.
        public var thinkingCutShare: Double
        /// Mean P(`<think>`) over the problems that were answered.
        public var pThink: Double

        /// By the rule that decides.
        public var accuracy: Double { passAtOne[0].share.mean }
        public var meanTokens: Double { tokens.mean }
    }

    /// - Parameters:
    ///   - level: nil means all.
    ///   - mode: only the answers given in this mode; nil means all.
    public func summary(_ condition: Condition, level: String? = nil, mode: Mode? = nil) -> Summary {
        summary(of: answers(condition, level: level).filter { mode == nil || $0.mode == mode })
    }

    /// Over any of the answers.
    func summary(of chosen: [Answer]) -> Summary {
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

    /// How much better this model is on the same problems than another: the mean over problems of the differences of
    /// their shares of right answers, which varies less than the difference of two means (Miller 2024, section 4.2).
    public func gain(over other: Evaluation, _ condition: Condition, level: String? = nil) -> ClusteredMean {
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
