/// The quality of a model's mode choices, measured by the rewards of both modes when forced.
///
/// The better mode of a problem has the higher mean reward over its forced samples; thinking must be better by more
/// than the margin, so ties go to `<short>`. Hybrid accuracy is the share of free answers in the better mode (LHRM,
/// arXiv 2505.14631, also with a margin).
///
/// The oracle bound is the result of a router that knows the better mode of each problem. Choosing and scoring on the
/// same samples would be biased upwards. Therefore the mode is chosen on the even samples and scored on the odd ones,
/// then the other way round, and both are averaged.
package struct ModeChoiceQuality: Sendable {
    /// The minimum number of forced samples per problem and mode.
    package static let minimumSamples = 8

    package let margin: Double
    /// Forced samples per problem and mode.
    package let samples: Int
    /// The better mode of each problem.
    package let betterModes: [Mode]
    /// The share of free answers in the better mode; nil without free answers.
    package private(set) var hybridAccuracy: ClusteredMean?
    package private(set) var hybridAccuracyByLevel: [(level: String, share: ClusteredMean)] = []
    package let oracle: Oracle

    /// The results of always choosing the better mode.
    package struct Oracle: Sendable {
        /// The share of right answers by the deciding rule.
        package var accuracy: ClusteredMean
        package var reward: ClusteredMean
        package var meanTokens: Double
        package var thinkShare: Double
    }

    /// The share of problems on which thinking is better, which is the hybrid accuracy of always thinking.
    package var thinkBetterShare: Double {
        Double(betterModes.count { $0 == .think }) / Double(max(1, betterModes.count))
    }

    /// Measures an evaluation; nil if it has fewer than `minimumSamples` forced samples per problem and mode.
    ///
    /// - Parameters:
    ///   - evaluation: with both modes forced.
    ///   - rewards: the rewards of outcomes by the deciding rule.
    ///   - margin: by how much the reward of thinking must exceed that of short mode.
    package init?(_ evaluation: Evaluation, rewards: ModeReward.Values = .init(), margin: Double = 0) {
        let options = evaluation.options
        guard options.conditions.contains(.think), options.conditions.contains(.short),
            options.samplesPerProblem >= Self.minimumSamples, !evaluation.problems.isEmpty
        else { return nil }
        self.margin = margin
        samples = options.samplesPerProblem

        var forced: [Mode: [Int: [Evaluation.Answer]]] = [:]
        for mode in Mode.allCases {
            forced[mode] = Dictionary(grouping: evaluation.answers(.forced(mode)), by: \.problem)
        }
        func reward(_ answer: Evaluation.Answer) -> Double {
            rewards.value(of: answer.outcomes[options.rule] ?? .malformed, mode: answer.mode)
        }
        func better(_ problem: Int, among isChosen: (Evaluation.Answer) -> Bool) -> Mode {
            func mean(_ mode: Mode) -> Double {
                let chosen = (forced[mode]?[problem] ?? []).filter(isChosen)
                return chosen.reduce(0) { $0 + reward($1) } / Double(max(1, chosen.count))
            }
            return mean(.think) - mean(.short) > margin ? .think : .short
        }
        let problems = evaluation.problems.indices
        let betterModes = problems.map { better($0, among: { _ in true }) }
        self.betterModes = betterModes

        if options.conditions.contains(.auto) {
            func accuracy(_ answers: [Evaluation.Answer]) -> ClusteredMean {
                ClusteredMean(
                    Dictionary(grouping: answers, by: \.problem).sorted { $0.key < $1.key }.map { problem, answers in
                        (sum: Double(answers.count { $0.mode == betterModes[problem] }), count: answers.count)
                    })
            }
            hybridAccuracy = accuracy(evaluation.answers(.auto))
            hybridAccuracyByLevel = evaluation.levels.map { level in
                (level, accuracy(evaluation.answers(.auto, level: level)))
            }
        }

        // Every sample is scored once, in the mode chosen on the other half.
        let scored = problems.map { problem in
            [0, 1].flatMap { half in
                let mode = better(problem, among: { $0.sample % 2 == half })
                return (forced[mode]?[problem] ?? []).filter { $0.sample % 2 != half }
            }
        }
        func clustered(_ value: (Evaluation.Answer) -> Double) -> ClusteredMean {
            ClusteredMean(scored.map { answers in (answers.reduce(0) { $0 + value($1) }, answers.count) })
        }
        oracle = Oracle(
            accuracy: clustered { $0.isRight(by: options.rule) ? 1 : 0 }, reward: clustered(reward),
            meanTokens: clustered { Double($0.tokenCount) }.mean,
            thinkShare: clustered { $0.forced == .think ? 1 : 0 }.mean)
    }
}
