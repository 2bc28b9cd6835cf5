/// Random numbers named by what they are for: equal keys give equal streams, whatever ran before (SplitMix64,
/// Steele et al. 2014, seeded by a hash of the keys).
public struct KeyedRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64, _ keys: UInt64...) {
        state = seed
        for key in keys { state = Self.mix(state ^ Self.mix(key &+ 0x9E37_79B9_7F4A_7C15)) }
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mix(state)
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

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
                var random = KeyedRandom(seed: seed, 0xDA7A, UInt64(epoch))
                order = Array(0..<count).shuffled(using: &random)
            }
            return order[place % count]
        }
    }
}
