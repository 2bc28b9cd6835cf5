/// Compresses the weights of a Huffman code by finite state entropy coding (RFC 8878, sections 4.1 and 4.2.1.2).
enum HuffmanWeights {
    /// 64 states, the maximum for weights.
    private static let accuracy = 6
    private static let stateCount = 1 << accuracy

    /// Encodes weights of at most 11 in fewer than 128 bytes; nil if they need more, or are too few or too uniform.
    static func encode(_ weights: [UInt8]) -> [UInt8]? {
        guard weights.count > 2, let shares = shares(weights) else { return nil }
        let cells = cells(shares)
        var bits = BitWriter()
        // The two interleaved states, each plus the number of states. Weights are coded from last to first because a
        // decoder reads backwards. It stops when it runs out of bits, so the last two weights start from their first
        // cells, which need bits.
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

    /// The number of states of each weight, in proportion to its frequency; nil if all weights are equal.
    ///
    /// A single weight would need no bits, so that a decoder could not find the end.
    private static func shares(_ weights: [UInt8]) -> [Int]? {
        var counts = [Int](repeating: 0, count: Int(weights.max() ?? 0) + 1)
        for weight in weights { counts[Int(weight)] += 1 }
        guard counts.filter({ $0 > 0 }).count > 1 else { return nil }
        var shares = counts.map { $0 == 0 ? 0 : max(1, $0 * stateCount / weights.count) }
        // The rounding error goes to the most frequent weight.
        let largest = shares.indices.max { (shares[$0], $1) < (shares[$1], $0) } ?? 0
        shares[largest] += stateCount - shares.reduce(0, +)
        return shares
    }

    /// The states that decode to each weight, ascending.
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

    /// The description of the table: the accuracy, then each weight's number of states (section 4.1.1).
    ///
    /// A number is written with as many bits as the states that remain can need.
    private static func description(_ shares: [Int]) -> [UInt8] {
        var bits = BitWriter()
        bits.append(UInt64(accuracy - 5), 4)
        var rest = stateCount
        var weight = 0
        while rest > 0 {
            let value = shares[weight] + 1
            let width = Int.bitWidth - (rest + 1).leadingZeroBitCount
            // The smallest values take one bit less, as many of them as there are unused bit patterns.
            let spared = (1 << width) - 1 - (rest + 1)
            if value < spared {
                bits.append(UInt64(value), width - 1)
            } else {
                bits.append(UInt64(value < 1 << (width - 1) ? value : value + spared), width)
            }
            rest -= shares[weight]
            weight += 1
            guard value == 1 else { continue }
            // The number of following weights without states, three at a time.
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

/// Collects bits, starting with the lowest bit of the first byte.
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

    /// All bytes; unused bits of the last byte are zero.
    func finished() -> [UInt8] { count > 0 ? bytes + [UInt8(truncatingIfNeeded: pending)] : bytes }
}
