/// A prefix code for bytes as zstd's literals have it (RFC 8878, section 4.2): no code longer than 11 bits, codes
/// counted up from the longest, within a length in the order of the bytes.
struct HuffmanCode {
    static let longest = 11
    static let symbolCount = 256

    /// Bits of each byte's code; 0 for bytes that have none.
    let lengths: [UInt8]
    /// Each byte's code, in the low bits of a number.
    let codes: [UInt16]
    /// Bytes that have a code, ascending; at least two.
    let symbols: [UInt8]
    /// Bits of the longest code there is.
    let maximum: Int

    /// The code that needs fewest bits for bytes that occur so often; nil where fewer than two occur.
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

    /// The best lengths under the limit, by merging packages (Larmore and Hirschberg 1990): of each level's coins, the
    /// counts and pairs of the level before, the cheapest 2n − 2 are taken at the last level, and what they are made of at
    /// those before; a count's length is how often it was taken.
    private static func lengths(ascending counts: [UInt32]) -> [UInt8] {
        let count = counts.count
        // For each level, which of its coins are counts: the others are pairs.
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

    /// The bits that bytes take that occur so often; nil where one of them has no code.
    func bitCount(_ counts: UnsafePointer<UInt32>) -> Int? {
        var bits = 0
        for symbol in 0..<Self.symbolCount where counts[symbol] > 0 {
            guard lengths[symbol] > 0 else { return nil }
            bits += Int(counts[symbol]) * Int(lengths[symbol])
        }
        return bits
    }

    /// The code as a block begins with it (section 4.2.1): the bytes' weights but that of the last, which follows from
    /// the others. nil where it cannot be told, which only happens where coding does not pay.
    func description() -> [UInt8]? {
        let last = Int(symbols[symbols.count - 1])
        let weights = lengths[..<last].map { $0 == 0 ? 0 : UInt8(maximum + 1) - $0 }
        let coded = HuffmanWeights.encode(weights)
        // 128 or more says how many weights follow in four bits each, less how long the coded ones are.
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
