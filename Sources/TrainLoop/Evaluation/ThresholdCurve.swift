/// Accuracy and tokens where P(`<think>`) decides against a threshold instead of a draw: think at or above it, answer
/// at once below. It takes answers under both forced modes and no more sampling.
public struct ThresholdCurve: Sendable {
    public struct Point: Sendable {
        /// Think where P(`<think>`) is at least this; infinite for never.
        public var threshold: Double
        /// Of the problems.
        public var thinkShare: Double
        public var accuracy: ClusteredMean
        public var meanTokens: Double
        public var promptAndResponse: Double
    }

    /// From always thinking to never; the curve passes through every problem's P(`<think>`), but for what `thinnedTo`
    /// leaves out.
    public var points: [Point]

    /// nil where the evaluation has not both forced modes.
    ///
    /// - Parameter count: points at most, evenly over the share of thinking.
    public init?(_ evaluation: Evaluation, thinnedTo count: Int = 41) {
        let options = evaluation.options
        guard options.conditions.contains(.think), options.conditions.contains(.short), count > 1,
            !evaluation.problems.isEmpty
        else { return nil }
        var sums: [Mode: [(right: Double, tokens: Double, count: Int)]] = [:]
        for mode in Mode.allCases {
            var byProblem = [(right: Double, tokens: Double, count: Int)](
                repeating: (0, 0, 0), count: evaluation.problems.count)
            for answer in evaluation.answers(.forced(mode)) {
                byProblem[answer.problem].right += answer.isRight(by: options.rule) ? 1 : 0
                byProblem[answer.problem].tokens += Double(answer.tokenCount)
                byProblem[answer.problem].count += 1
            }
            sums[mode] = byProblem
        }
        // Problems by falling P(<think>): a threshold makes the first few of them think.
        let order = evaluation.problems.indices.sorted {
            evaluation.firstToken[$0].think > evaluation.firstToken[$1].think
        }
        // A cut between two problems of equal P(<think>) is no threshold.
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
                (problem, sums[place < cut ? .think : .short]![problem])
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
