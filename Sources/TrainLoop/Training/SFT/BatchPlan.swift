/// The division of the pairs into updates, by a number of pairs or by a number of tokens.
///
/// It depends only on the data, the seed and the options, so a resumed run sees the same updates.
package struct BatchPlan {
    private let tokens: [Int]
    private let pairsPerStep: Int
    private let tokensPerStep: Int?
    private var order: DataOrder
    /// The first pair of each update, counted over all epochs, as far as it was computed.
    private var starts = [0]

    /// - Parameters:
    ///   - tokens: the tokens of each pair, both halves with their prompts.
    ///   - pairsPerStep: the pairs of an update, unless `tokensPerStep` is given.
    ///   - tokensPerStep: the tokens of an update, to which pairs are added while they fit; an update has at least one.
    ///   - seed: the seed of the shuffles.
    ///   - shuffles: whether the pairs are shuffled in every epoch.
    package init(tokens: [Int], pairsPerStep: Int, tokensPerStep: Int?, seed: UInt64, shuffles: Bool = true) {
        self.tokens = tokens
        self.pairsPerStep = pairsPerStep
        self.tokensPerStep = tokensPerStep
        order = DataOrder(count: tokens.count, seed: seed, shuffles: shuffles)
    }

    /// The indices of the pairs of an update, counted from 0.
    package mutating func pairs(of step: Int) -> [Int] {
        guard tokensPerStep != nil else { return order.indices(from: step * pairsPerStep, count: pairsPerStep) }
        while starts.count <= step + 1 { starts.append(end(from: starts[starts.count - 1])) }
        return order.indices(from: starts[step], count: starts[step + 1] - starts[step])
    }

    /// The number of updates that this number of passes over the data takes.
    package mutating func steps(epochs: Double) -> Int {
        let pairs = epochs * Double(tokens.count)
        guard tokensPerStep != nil else { return max(1, Int((pairs / Double(pairsPerStep)).rounded(.up))) }
        while Double(starts[starts.count - 1]) < pairs { starts.append(end(from: starts[starts.count - 1])) }
        return max(1, starts.firstIndex { Double($0) >= pairs } ?? 1)
    }

    private mutating func end(from start: Int) -> Int {
        var end = start
        var sum = 0
        while true {
            sum += tokens[order.indices(from: end, count: 1)[0]]
            if end > start, sum > tokensPerStep ?? 0 { return end }
            end += 1
            // An update never needs more than all of the data; very small data would otherwise loop for long.
            if end - start >= tokens.count { return end }
        }
    }
}
