/// Accuracy and tokens if the mode is chosen by a threshold of P(`<think>`) instead of sampling.
///
/// The curve is computed from answers in both forced modes.
package struct ThresholdCurve: Sendable {
    /// The result at one threshold.
    package struct Point: Sendable {
        /// Problems with P(`<think>`) at or above this use thinking; infinity means none.
        package var threshold: Double
        /// The share of problems that use thinking.
        package var thinkShare: Double
        package var accuracy: ClusteredMean
        package var meanTokens: Double
        package var promptAndResponse: Double
    }

    /// The points from always thinking to never thinking.
    package let points: [Point]

    /// Computes the curve; nil if the evaluation lacks a forced mode.
    ///
    /// - Parameters:
    ///   - evaluation: with both modes forced.
    ///   - count: the maximum number of points, evenly spaced over the share of thinking.
    package init?(_ evaluation: Evaluation, thinnedTo count: Int = 41) {
        let options = evaluation.options
        guard options.conditions.contains(.think), options.conditions.contains(.short), count > 1,
            !evaluation.problems.isEmpty
        else { return nil }
        func sums(_ mode: Mode) -> [(right: Double, tokens: Double, count: Int)] {
            var byProblem = [(right: Double, tokens: Double, count: Int)](
                repeating: (0, 0, 0), count: evaluation.problems.count)
            for answer in evaluation.answers(.forced(mode)) {
                byProblem[answer.problem].right += answer.isRight(by: options.rule) ? 1 : 0
                byProblem[answer.problem].tokens += Double(answer.tokenCount)
                byProblem[answer.problem].count += 1
            }
            return byProblem
        }
        let (think, short) = (sums(.think), sums(.short))
        // By descending P(<think>): the problems before a cut use thinking.
        let order = evaluation.problems.indices.sorted {
            evaluation.firstToken[$0].think > evaluation.firstToken[$1].think
        }
        // A cut between two problems of equal P(<think>) does not correspond to a threshold.
        let cuts = (0...order.count).filter { cut in
            cut == 0 || cut == order.count
                || evaluation.firstToken[order[cut - 1]].think > evaluation.firstToken[order[cut]].think
        }
        var kept: [Int] = []
        for step in 0..<count {
            let wanted = Double(order.count) * (1 - Double(step) / Double(count - 1))
            let nearest = cuts.min { abs(Double($0) - wanted) < abs(Double($1) - wanted) } ?? 0
            if kept.last != nearest { kept.append(nearest) }
        }
        points = kept.map { cut in
            let routed = order.enumerated().map { place, problem in
                (problem, place < cut ? think[problem] : short[problem])
            }.sorted { $0.0 < $1.0 }
            let accuracy = ClusteredMean(routed.map { (sum: $0.1.right, count: $0.1.count) })
            let tokens = ClusteredMean(routed.map { (sum: $0.1.tokens, count: $0.1.count) }).mean
            let prompt = evaluation.promptTokenCounts.reduce(0, +)
            return Point(
                threshold: cut == 0 ? .infinity : evaluation.firstToken[order[cut - 1]].think,
                thinkShare: Double(cut) / Double(order.count), accuracy: accuracy, meanTokens: tokens,
                promptAndResponse: tokens + Double(prompt) / Double(evaluation.problems.count))
        }
    }
}
