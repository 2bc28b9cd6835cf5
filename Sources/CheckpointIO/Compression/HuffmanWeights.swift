/// The weights of a Huffman code, compressed by two interleaved states of a finite state entropy coder (RFC 8878,
/// sections 4.1 and 4.2.1.2).
enum HuffmanWeights {
    /// 64 states: as many as weights may have.
    private static let accuracy = 6
    private static let stateCount = 1 << accuracy

    /// - Parameter weights: each at most 11.
    /// - Returns: fewer than 128 bytes; nil where the weights are too few or too uniform for this, or take more.
    static func encode(_ weights: [UInt8]) -> [UInt8]? {
        guard weights.count > 2, let shares = shares(weights) else { return nil }
        let cells = cells(shares)
        var bits = BitWriter()
        // The number of a state plus their count; written from the last weight to the first, since it is read backwards.
        // The states of the last two weights are those in which reading runs out of bits: their first cells need some.
        var states = [0, 0]
        for index in [weights.count - 1, weights.count - 2] {
            states[index & 1] = stateCount + cells[Int(weights[index])][0]
        }
        for index in stride(from: weights.count - 3, through: 0, by: -1) {
            let weight = Int(weights[index])
            let state = states[index & 1]
            var count = 0
            while state >> count >= 2 * shares[weight] { count += 1 }
            bits.append(UInt64(state & ((1 << count) - 1)), count)
            states[index & 1] = stateCount + cells[weight][state >> count - shares[weight]]
        }
        bits.append(UInt64(states[1] - stateCount), accuracy)
        bits.append(UInt64(states[0] - stateCount), accuracy)
        bits.append(1, 1)
        let bytes = description(shares) + bits.finished()
        return bytes.count < 128 ? bytes : nil
    }

    /// How many states each weight gets, about as often as it occurs; nil for a single one, which would need no bits and
    /// so have no end.
    private static func shares(_ weights: [UInt8]) -> [Int]? {
        var counts = [Int](repeating: 0, count: Int(weights.max() ?? 0) + 1)
        for weight in weights { counts[Int(weight)] += 1 }
        guard counts.filter({ $0 > 0 }).count > 1 else { return nil }
        var shares = counts.map { $0 == 0 ? 0 : max(1, $0 * stateCount / weights.count) }
        // What rounding left, or took too much, is the most frequent weight's: it can bear it.
        let largest = shares.indices.max { (shares[$0], $1) < (shares[$1], $0) } ?? 0
        shares[largest] += stateCount - shares.reduce(0, +)
        return shares
    }

    /// The states at which each weight is read, ascending.
    private static func cells(_ shares: [Int]) -> [[Int]] {
        var weightOfCell = [Int](repeating: 0, count: stateCount)
        var position = 0
        for (weight, share) in shares.enumerated() {
            for _ in 0..<share {
                weightOfCell[position] = weight
                position = (position + stateCount >> 1 + stateCount >> 3 + 3) % stateCount
            }
        }
        var cells = [[Int]](repeating: [], count: shares.count)
        for (cell, weight) in weightOfCell.enumerated() { cells[weight].append(cell) }
        return cells
    }

    /// The table's description: the accuracy, then each weight's share, in as many bits as what is left to share out may
    /// need (section 4.1.1).
    private static func description(_ shares: [Int]) -> [UInt8] {
        var bits = BitWriter()
        bits.append(UInt64(accuracy - 5), 4)
        var rest = stateCount
        var weight = 0
        while rest > 0 {
            let value = shares[weight] + 1
            let width = Int.bitWidth - (rest + 1).leadingZeroBitCount
            // As many of the least values as there are patterns to spare take a bit less.
            let spared = (1 << width) - 1 - (rest + 1)
            if value < spared {
                bits.append(UInt64(value), width - 1)
            } else {
                bits.append(UInt64(value < 1 << (width - 1) ? value : value + spared), width)
            }
            rest -= shares[weight]
            weight += 1
            guard value == 1 else { continue }
            // How many further weights have none, three at a time.
            var further = 0
            while shares[weight + further] == 0 { further += 1 }
            weight += further
            while further >= 3 {
                bits.append(3, 2)
                further -= 3
            }
            bits.append(UInt64(further), 2)
        }
        return bits.finished()
    }
}

/// Bits, the first in the lowest place of the first byte.
private struct BitWriter {
    private var bytes: [UInt8] = []
    private var pending: UInt64 = 0
    private var count = 0

    mutating func append(_ value: UInt64, _ width: Int) {
        pending |= value << UInt64(count)
        count += width
        while count >= 8 {
            bytes.append(UInt8(truncatingIfNeeded: pending))
            pending >>= 8
            count -= 8
        }
    }

    /// All bytes, the last filled up with zeros.
    func finished() -> [UInt8] { count > 0 ? bytes + [UInt8(truncatingIfNeeded: pending)] : bytes }
}
