/// How well a model chooses its mode, judged by what each mode earns on each problem when it is forced.
///
/// The better mode of a problem is the one with the higher mean reward over its forced samples; thinking must be
/// better by more than the margin, so ties go to `<short>` (hybrid accuracy as in LHRM, arXiv 2505.14631, there with a
/// margin too). Hybrid accuracy is the share of free answers given in the better mode.
///
/// The oracle bound is what a router would reach that knows each problem's better mode. Choosing and scoring on the same
/// samples would take luck for knowledge, so the mode is chosen on the samples with an even number and scored on those
/// with an odd one, then the other way round, and the two are averaged.
public struct ModeChoiceQuality: Sendable {
    /// Forced samples a problem and mode that it takes to say which mode is better.
    public static let minimumSamples = 8

    public var rewards: ModeReward.Values
    public var margin: Double
    /// Forced samples a problem and mode.
    public var samples: Int
    /// The mode that is better on each problem.
    public var betterModes: [Mode]
    /// Free answers given in the better mode, over all problems; nil without free answers.
    public var hybridAccuracy: ClusteredMean?
    public var hybridAccuracyByLevel: [(level: String, share: ClusteredMean)] = []
    public var oracle: Oracle

    /// What always choosing right would give.
    public struct Oracle: Sendable {
        /// Right answers by the rule that decides.
        public var accuracy: ClusteredMean
        public var reward: ClusteredMean
        public var meanTokens: Double
        public var thinkShare: Double
    }

    /// The share of problems on which thinking is better: the hybrid accuracy of always thinking.
    public var thinkBetterShare: Double {
        Double(betterModes.count { $0 == .think }) / Double(max(1, betterModes.count))
    }

    /// nil where the evaluation has not at least `minimumSamples` forced samples of each mode.
    ///
    /// - Parameters:
    ///   - rewards: what outcomes pay, by the rule that decides.
    ///   - margin: by how much more than this thinking must pay.
    public init?(_ evaluation: Evaluation, rewards: ModeReward.Values = .init(), margin: Double = 0) {
        let options = evaluation.options
        guard options.conditions.contains(.think), options.conditions.contains(.short),
            options.samplesPerProblem >= Self.minimumSamples, !evaluation.problems.isEmpty
        else { return nil }
        self.rewards = rewards
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

        // Both halves score, so every sample is scored once, in the mode that the other half chose.
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
