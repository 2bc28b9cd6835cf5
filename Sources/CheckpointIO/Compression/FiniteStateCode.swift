/// A code of finite state entropy, in the form that zstd uses for its tables (RFC 8878, section 4.1).
struct FiniteStateCode {
    /// The number of states of each symbol; together `1 << accuracy`.
    let shares: [Int]
    /// The logarithm of the number of states, 5...9.
    let accuracy: Int
    /// The states that decode to each symbol, ascending, symbol after symbol.
    let cells: [Int]
    /// The place in `cells` of each symbol's first state.
    let starts: [Int]

    private var stateCount: Int { 1 << accuracy }

    /// A code with shares in proportion to `counts`; nil if fewer than two symbols occur.
    ///
    /// A single symbol would need no bits, so that a decoder could not find the end.
    init?(counts: [Int], accuracy: Int) {
        let total = counts.reduce(0, +)
        guard counts.count(where: { $0 > 0 }) > 1 else { return nil }
        let stateCount = 1 << accuracy
        var shares = counts.map { $0 == 0 ? 0 : max(1, $0 * stateCount / total) }
        while let last = shares.last, last == 0 { shares.removeLast() }
        // The rounding error goes to the most frequent symbol, as long as states are left to it.
        var rest = stateCount - shares.reduce(0, +)
        while rest != 0 {
            let largest = shares.indices.max { (shares[$0], $1) < (shares[$1], $0) } ?? 0
            let given = max(rest, 1 - shares[largest] / 2)
            shares[largest] += given
            rest -= given
        }
        self.shares = shares
        self.accuracy = accuracy
        var starts = shares
        var count = 0
        for symbol in shares.indices {
            starts[symbol] = count
            count += shares[symbol]
        }
        self.starts = starts
        var symbolOfCell = [Int](repeating: 0, count: stateCount)
        var position = 0
        for (symbol, share) in shares.enumerated() {
            for _ in 0..<share {
                symbolOfCell[position] = symbol
                position = (position + stateCount >> 1 + stateCount >> 3 + 3) & (stateCount - 1)
            }
        }
        var cells = symbolOfCell
        for (cell, symbol) in symbolOfCell.enumerated() {
            cells[starts[symbol]] = cell
            starts[symbol] += 1
        }
        self.cells = cells
    }

    /// The description of the table: the accuracy, then each symbol's number of states (section 4.1.1).
    ///
    /// A number is written with as many bits as the states that remain can need.
    func description() -> [UInt8] {
        var bits = BitWriter()
        bits.append(UInt64(accuracy - 5), 4)
        var rest = stateCount
        var symbol = 0
        while rest > 0 {
            let value = shares[symbol] + 1
            let width = Int.bitWidth - (rest + 1).leadingZeroBitCount
            // The smallest values take one bit less, as many of them as there are unused bit patterns.
            let spared = (1 << width) - 1 - (rest + 1)
            if value < spared {
                bits.append(UInt64(value), width - 1)
            } else {
                bits.append(UInt64(value < 1 << (width - 1) ? value : value + spared), width)
            }
            rest -= shares[symbol]
            symbol += 1
            guard value == 1 else { continue }
            // The number of following symbols without states, three at a time.
            var further = 0
            while shares[symbol + further] == 0 { further += 1 }
            symbol += further
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
struct BitWriter {
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
