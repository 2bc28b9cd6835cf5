import Parallel

/// The order in which training visits its data: reshuffled in each epoch by (seed, epoch), or that of the file.
package struct DataOrder: Sendable {
    private let count: Int
    private let seed: UInt64
    private let shuffles: Bool
    private var epoch = -1
    private var order: [Int] = []

    package init(count: Int, seed: UInt64, shuffles: Bool = true) {
        self.count = count
        self.seed = seed
        self.shuffles = shuffles
    }

    /// The next `length` indices from `position`, which counts over all epochs.
    ///
    /// The result depends only on the position, so a resumed run visits the same data.
    package mutating func indices(from position: Int, count length: Int) -> [Int] {
        guard shuffles else { return (position..<(position + length)).map { $0 % count } }
        return (position..<(position + length)).map { place in
            if place / count != epoch {
                epoch = place / count
                var random = SplitMix64(seed: seed, keys: 0xDA7A, UInt64(epoch))
                order = Array(0..<count).shuffled(using: &random)
            }
            return order[place % count]
        }
    }
}
