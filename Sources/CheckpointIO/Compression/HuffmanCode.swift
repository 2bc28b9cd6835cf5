/// A prefix code for bytes, in the form that zstd uses for literals (RFC 8878, section 4.2).
///
/// Codes have at most 11 bits and are numbered from the longest to the shortest, and by byte value within a length.
struct HuffmanCode {
    static let longest = 11
    static let symbolCount = 256

    /// Bits of each byte's code; 0 for bytes without a code.
    let lengths: [UInt8]
    /// Each byte's code, in the low bits.
    let codes: [UInt16]
    /// The bytes that have a code, ascending; at least two.
    let symbols: [UInt8]
    /// Bits of the longest code.
    let maximum: Int

    /// The optimal code for bytes with these counts; nil if fewer than two byte values occur.
    init?(counts: UnsafePointer<UInt32>) {
        let symbols = (0..<Self.symbolCount).filter { counts[$0] > 0 }.map { UInt8($0) }
        guard symbols.count > 1 else { return nil }
        let order = symbols.sorted { (counts[Int($0)], $0) < (counts[Int($1)], $1) }
        var lengths = [UInt8](repeating: 0, count: Self.symbolCount)
        for (symbol, length) in zip(order, Self.lengths(ascending: order.map { counts[Int($0)] })) {
            lengths[Int(symbol)] = length
        }
        self.lengths = lengths
        self.symbols = symbols
        maximum = Int(lengths[Int(order[0])])
        codes = Self.codes(lengths, maximum)
    }

    /// The optimal code lengths under the limit, by the package-merge algorithm (Larmore and Hirschberg 1990).
    ///
    /// The coins of a level are the counts, and packages of two adjacent coins of the previous level. The cheapest
    /// 2n − 2 coins are taken from the last level, and from each earlier level the coins that make up the packages
    /// taken. The length of a symbol's code is the number of levels at which its count was taken.
    private static func lengths(ascending counts: [UInt32]) -> [UInt8] {
        let count = counts.count
        // For each level, which of its coins are counts; the others are packages.
        var isCount: [[Bool]] = []
        var coins: [UInt64] = []
        for _ in 0..<longest {
            var merged: [UInt64] = []
            var marks: [Bool] = []
            merged.reserveCapacity(2 * count)
            marks.reserveCapacity(2 * count)
            var (single, pair) = (0, 0)
            while single < count || pair + 1 < coins.count {
                let pairWeight = pair + 1 < coins.count ? coins[pair] + coins[pair + 1] : UInt64.max
                if single < count, UInt64(counts[single]) <= pairWeight {
                    merged.append(UInt64(counts[single]))
                    marks.append(true)
                    single += 1
                } else {
                    merged.append(pairWeight)
                    marks.append(false)
                    pair += 2
                }
            }
            coins = merged
            isCount.append(marks)
        }
        var lengths = [UInt8](repeating: 0, count: count)
        var taken = 2 * count - 2
        for marks in isCount.reversed() {
            var singles = 0
            for index in 0..<taken where marks[index] { singles += 1 }
            for index in 0..<singles { lengths[index] += 1 }
            taken = 2 * (taken - singles)
        }
        return lengths
    }

    private static func codes(_ lengths: [UInt8], _ maximum: Int) -> [UInt16] {
        var perLength = [UInt16](repeating: 0, count: maximum + 1)
        for length in lengths where length > 0 { perLength[Int(length)] += 1 }
        var next = [UInt16](repeating: 0, count: maximum + 1)
        var first: UInt16 = 0
        for length in stride(from: maximum, to: 0, by: -1) {
            next[length] = first
            first = (first + perLength[length]) >> 1
        }
        return lengths.map { length in
            guard length > 0 else { return 0 }
            defer { next[Int(length)] += 1 }
            return next[Int(length)]
        }
    }

    /// The bits that bytes with these counts take; nil if one of them has no code.
    func bitCount(_ counts: UnsafePointer<UInt32>) -> Int? {
        var bits = 0
        for symbol in 0..<Self.symbolCount where counts[symbol] > 0 {
            guard lengths[symbol] > 0 else { return nil }
            bits += Int(counts[symbol]) * Int(lengths[symbol])
        }
        return bits
    }

    /// The description of the code at the start of a block (section 4.2.1).
    ///
    /// It lists the weight of every byte but the last, whose weight follows from the others. The result is nil if the
    /// code cannot be described, which happens only for data that is not worth coding.
    func description() -> [UInt8]? {
        let last = Int(symbols[symbols.count - 1])
        let weights = lengths[..<last].map { $0 == 0 ? 0 : UInt8(maximum + 1) - $0 }
        let coded = HuffmanWeights.encode(weights)
        // A first byte of 128 or more is 127 plus the number of weights, of four bits each; a smaller one is the length
        // of the coded weights.
        guard weights.count <= 128, coded.map({ $0.count > (weights.count + 1) / 2 }) ?? true else {
            return coded.map { [UInt8($0.count)] + $0 }
        }
        var bytes = [UInt8(127 + weights.count)]
        for index in stride(from: 0, to: weights.count, by: 2) {
            bytes.append(weights[index] << 4 | (index + 1 < weights.count ? weights[index + 1] : 0))
        }
        return bytes
    }
}
