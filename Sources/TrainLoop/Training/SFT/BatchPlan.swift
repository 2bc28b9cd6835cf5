/// Which pairs fall into which update: a fixed number, or as many as a number of tokens allows.
///
/// A function of the data, the seed and the options alone, so a resumed run meets the same updates.
package struct BatchPlan {
    private let tokens: [Int]
    private let pairsPerStep: Int
    private let tokensPerStep: Int?
    private var order: DataOrder
    /// Where the updates begin, counted in pairs over all epochs; found as far as it was asked for.
    private var starts = [0]

    /// - Parameters:
    ///   - tokens: of each pair, both halves with their prompts.
    ///   - shuffles: anew in every epoch; otherwise pairs come in their order.
    ///   - tokensPerStep: an update takes pairs as long as they fit, one at least; nil: `pairsPerStep`.
    package init(tokens: [Int], pairsPerStep: Int, tokensPerStep: Int?, seed: UInt64, shuffles: Bool = true) {
        self.tokens = tokens
        self.pairsPerStep = pairsPerStep
        self.tokensPerStep = tokensPerStep
        order = DataOrder(count: tokens.count, seed: seed, shuffles: shuffles)
    }

    /// The pairs of the update with this number, counted from 0.
    package mutating func pairs(of step: Int) -> [Int] {
        guard tokensPerStep != nil else { return order.indices(from: step * pairsPerStep, count: pairsPerStep) }
        while starts.count <= step + 1 { starts.append(end(from: starts[starts.count - 1])) }
        return order.indices(from: starts[step], count: starts[step + 1] - starts[step])
    }

    /// How many updates it takes to go through the data that often.
    package mutating func steps(epochs: Double) -> Int {
        let pairs = epochs * Double(tokens.count)
        guard tokensPerStep != nil else { return max(1, Int((pairs / Double(pairsPerStep)).rounded(.up))) }
        while Double(starts[starts.count - 1]) < pairs { starts.append(end(from: starts[starts.count - 1])) }
        return max(1, (starts.firstIndex { Double($0) >= pairs } ?? 1))
    }

    private mutating func end(from start: Int) -> Int {
        var end = start
        var sum = 0
        while true {
            sum += tokens[order.indices(from: end, count: 1)[0]]
            if end > start, sum > tokensPerStep ?? 0 { return end }
            end += 1
            // A bound for data of next to nothing: no update needs more than the whole of it.
            if end - start >= tokens.count { return end }
        }
    }
}
