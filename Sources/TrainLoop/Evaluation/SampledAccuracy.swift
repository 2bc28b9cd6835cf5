extension Evaluation {
    /// What the samples of a problem achieve together: pass@k and maj@k, by one answer rule.
    ///
    /// Every problem contributes one value, so the standard errors are clustered by problem.
    package struct SampledAccuracy: Sendable {
        package var rule: AnswerRule
        /// The number of samples per problem, the k of `majority`.
        package var samples: Int
        /// The chance that at least one of k samples is right, for each power of two from 2 on and for all samples.
        package var passAtK: [(k: Int, share: ClusteredMean)]
        /// The chance that the answer of most samples is right.
        package var majority: ClusteredMean
    }

    /// Summarises the samples of each problem, at one level or at all, by each reported rule, the deciding one first.
    ///
    /// Empty if problems are sampled once.
    package func sampledAccuracy(_ condition: Condition, level: String? = nil) -> [SampledAccuracy] {
        let samples = options.samplesPerProblem
        guard samples > 1 else { return [] }
        let groups = Dictionary(grouping: answers(condition, level: level), by: \.problem)
            .sorted { $0.key < $1.key }.map(\.value)
        let powers = sequence(first: 2) { $0 * 2 }.prefix { $0 < samples }
        return options.rules.map { rule in
            SampledAccuracy(
                rule: rule, samples: samples,
                passAtK: (Array(powers) + [samples]).map { k in
                    (k, ClusteredMean(values: groups.map { Self.passAtK(k, $0, by: rule) }))
                }, majority: ClusteredMean(values: groups.map { MajorityVote(of: $0, by: rule).chanceOfRight }))
        }
    }

    /// The unbiased estimate of the chance that one of k samples is right: 1 − C(n−c, k) / C(n, k), with c right of n.
    ///
    /// Equation 1 of Chen et al. 2021 (arXiv 2107.03374).
    static func passAtK(_ k: Int, _ samples: [Answer], by rule: AnswerRule) -> Double {
        let right = samples.count { $0.isRight(by: rule) }
        let wrong = samples.count - right
        guard wrong >= k else { return right > 0 ? 1 : 0 }
        return 1 - (wrong + 1..<samples.count + 1).reduce(1.0) { $0 * (1 - Double(k) / Double($1)) }
    }
}
