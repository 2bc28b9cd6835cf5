import Parallel

/// The order in which a run meets its data: a shuffle an epoch, each named by (seed, epoch), or that of the file.
public struct DataOrder: Sendable {
    public let count: Int
    public let seed: UInt64
    private let shuffles: Bool
    private var epoch = -1
    private var order: [Int] = []

    public init(count: Int, seed: UInt64, shuffles: Bool = true) {
        self.count = count
        self.seed = seed
        self.shuffles = shuffles
    }

    /// The `length` indices from `position` on, counted over all epochs. Needs nothing but the position, so a resumed
    /// run meets the same data.
    public mutating func indices(from position: Int, count length: Int) -> [Int] {
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
