/// The sequences section of a zstd block (RFC 8878, section 3.1.1.3.2): runs of literals, each followed by a match.
///
/// All matches of a section have the same offset. Not thread-safe.
final class SequenceSection {
    /// Shorter matches do not exist.
    static let shortestMatch = 3
    /// The most sequences of a block.
    private static let capacity = HuffmanBlocks.blockSize / shortestMatch + 1

    private let literalCounts = UnsafeMutablePointer<UInt32>.allocate(capacity: capacity)
    private let matchLengths = UnsafeMutablePointer<UInt32>.allocate(capacity: capacity)
    private(set) var count = 0

    deinit {
        literalCounts.deallocate()
        matchLengths.deallocate()
    }

    /// Replaces the sequences by those that `body` writes: the literals and the length of the match of each.
    ///
    /// `body` returns their number, and nil if there are none.
    func fill(
        _ body: (_ literals: UnsafeMutablePointer<UInt32>, _ matches: UnsafeMutablePointer<UInt32>) -> Int?
    ) -> Bool {
        let filled = body(literalCounts, matchLengths)
        count = filled ?? 0
        return filled != nil
    }

    /// Literals and length of the match of the first sequence.
    var first: (literals: Int, match: Int) { (Int(literalCounts[0]), Int(matchLengths[0])) }

    /// What the matches copy from.
    enum Offset {
        /// As far back as the previous match of the frame; every sequence needs a literal.
        case repeated
        /// So many bytes back.
        case distance(Int)
    }

    /// Writes sequences `range` of the block, which are not empty, and returns the end of the section.
    ///
    /// `target` needs room for eight bytes behind the end.
    func write(
        _ range: Range<Int>, offset: Offset, at target: UnsafeMutablePointer<UInt8>
    ) -> UnsafeMutablePointer<UInt8> {
        var end = Self.writeCount(range.count, at: target)
        let literals = Coder(range, literalCounts, 0, Self.literalCodes, codeAdvance: 19)
        let matches = Coder(range, matchLengths, Self.shortestMatch, Self.matchCodes, codeAdvance: 36)
        let (offsetCode, offsetBits): (UInt8, UInt64)
        switch offset {
        case .repeated: (offsetCode, offsetBits) = (0, 0)
        case .distance(let distance):
            // The numbers 1 to 3 stand for repeated offsets.
            let value = UInt64(distance + 3)
            offsetCode = UInt8(63 - value.leadingZeroBitCount)
            offsetBits = value & (1 << UInt64(offsetCode) - 1)
        }
        // The modes of the three tables; offsets have a single code.
        end.pointee = literals.mode << 6 | 1 << 4 | matches.mode << 2
        end += 1
        for part in [literals.description, [offsetCode], matches.description] {
            for byte in part {
                end.pointee = byte
                end += 1
            }
        }
        return Self.writeStream(
            range, literalCounts, literals, matchLengths, matches, (offsetBits, UInt64(offsetCode)), at: end)
    }

    private static func writeCount(_ count: Int, at target: UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<UInt8>
    {
        if count < 128 {
            target[0] = UInt8(count)
            return target + 1
        }
        if count < 0x7F00 {
            target[0] = UInt8(count >> 8 + 128)
            target[1] = UInt8(truncatingIfNeeded: count)
            return target + 2
        }
        target[0] = 255
        target[1] = UInt8(truncatingIfNeeded: count - 0x7F00)
        target[2] = UInt8(truncatingIfNeeded: (count - 0x7F00) >> 8)
        return target + 3
    }

    /// Writes the bits of all sequences, the last first because a decoder reads backwards.
    private static func writeStream(
        _ range: Range<Int>, _ literalCounts: UnsafePointer<UInt32>, _ literals: Coder,
        _ matchLengths: UnsafePointer<UInt32>, _ matches: Coder, _ offset: (bits: UInt64, width: UInt64),
        at target: UnsafeMutablePointer<UInt8>
    ) -> UnsafeMutablePointer<UInt8> {
        var bits = ForwardWriter(target)
        var index = range.upperBound - 1
        var (literal, match) = (literals.symbol(literalCounts[index]), matches.symbol(matchLengths[index]))
        var (literalState, matchState) = (literals.firstState(literal), matches.firstState(match))
        while true {
            bits.append(literals.extra(literalCounts[index], literal))
            bits.append(matches.extra(matchLengths[index], match))
            bits.flush()
            bits.append(offset)
            guard index > range.lowerBound else { break }
            index &-= 1
            literal = literals.symbol(literalCounts[index])
            match = matches.symbol(matchLengths[index])
            bits.append(matches.transition(&matchState, match))
            bits.append(literals.transition(&literalState, literal))
            bits.flush()
        }
        bits.flush()
        bits.append(matches.lastState(matchState))
        bits.append(literals.lastState(literalState))
        return bits.finish()
    }

    // MARK: - Codes of numbers

    /// A code stands for the numbers from its base on, told apart by extra bits.
    private struct NumberCodes: Sendable {
        let bases: [UInt32]
        let extraBits: [UInt8]
        /// The codes of small numbers; a larger one has the position of its highest bit plus a constant as code.
        let small: [UInt8]

        /// `widths` are the extra bits of all codes.
        init(widths: [UInt8], smallCount: Int) {
            var (bases, small): ([UInt32], [UInt8]) = ([], [])
            var base: UInt32 = 0
            for (code, width) in widths.enumerated() {
                bases.append(base)
                base += 1 << UInt32(width)
                while small.count < min(smallCount, Int(base)) { small.append(UInt8(code)) }
            }
            self.bases = bases
            extraBits = widths
            self.small = small
        }
    }

    /// Codes of the number of literals (section 3.1.1.3.2.1.1).
    private static let literalCodes = NumberCodes(
        widths: [UInt8](repeating: 0, count: 16) + [1, 1, 1, 1, 2, 2, 3, 3, 4] + Array(6...16), smallCount: 64)
    /// Codes of the length of a match, less the shortest.
    private static let matchCodes = NumberCodes(
        widths: [UInt8](repeating: 0, count: 32) + [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5] + Array(7...16), smallCount: 128)

    /// Encodes one of the numbers of all sequences of a block.
    private struct Coder {
        private let codes: NumberCodes
        /// What is subtracted from a number.
        private let least: UInt32
        private let codeAdvance: Int
        private let accuracy: Int
        /// For each code, what gives the number of bits of a transition, and the place of its first next state.
        private var transitions: [(bits: Int, place: Int)] = []
        /// The states of all codes, and where those of each begin.
        private var cells: [Int] = []
        private var starts: [Int] = []
        /// How the table is described: 1 for a single code, 2 for finite state entropy.
        let mode: UInt8
        let description: [UInt8]

        init(
            _ range: Range<Int>, _ numbers: UnsafePointer<UInt32>, _ least: Int, _ codes: NumberCodes, codeAdvance: Int
        ) {
            self.codes = codes
            self.least = UInt32(least)
            self.codeAdvance = codeAdvance
            var counts = [Int](repeating: 0, count: codes.bases.count)
            for index in range {
                counts[Self.symbol(numbers[index] &- UInt32(least), codes, codeAdvance)] += 1
            }
            let kinds = counts.count { $0 > 0 }
            let least = Int.bitWidth - kinds.leadingZeroBitCount + 1
            let accuracy = min(9, max(5, least, Int.bitWidth - range.count.leadingZeroBitCount - 2))
            guard let code = FiniteStateCode(counts: counts, accuracy: accuracy) else {
                (mode, description) = (1, [UInt8(counts.firstIndex { $0 > 0 } ?? 0)])
                self.accuracy = 0
                return
            }
            (mode, description) = (2, code.description())
            self.accuracy = accuracy
            (cells, starts) = (code.cells, code.starts)
            transitions = zip(code.shares, code.starts).map { share, start in
                // The number of bits is the higher one for states at or above a threshold, which the sum makes carry.
                let most = share > 1 ? accuracy - (Int.bitWidth - 1 - (share - 1).leadingZeroBitCount) : accuracy
                return (most << 16 - share << most, start - share)
            }
        }

        @inline(__always)
        private static func symbol(_ value: UInt32, _ codes: NumberCodes, _ codeAdvance: Int) -> Int {
            value < UInt32(codes.small.count)
                ? Int(codes.small[Int(value)]) : 31 - value.leadingZeroBitCount + codeAdvance
        }

        @inline(__always)
        func symbol(_ number: UInt32) -> Int { Self.symbol(number &- least, codes, codeAdvance) }

        /// The bits of a number that its code leaves open.
        @inline(__always)
        func extra(_ number: UInt32, _ symbol: Int) -> (UInt64, UInt64) {
            (UInt64(number &- least &- codes.bases[symbol]), UInt64(codes.extraBits[symbol]))
        }

        /// A state that decodes to the code of the last sequence.
        func firstState(_ symbol: Int) -> Int { mode == 2 ? 1 << accuracy + cells[starts[symbol]] : 0 }

        @inline(__always)
        func transition(_ state: inout Int, _ symbol: Int) -> (UInt64, UInt64) {
            guard mode == 2 else { return (0, 0) }
            let (bits, place) = transitions[symbol]
            let width = (state &+ bits) >> 16
            let low = state & (1 << width &- 1)
            state = 1 << accuracy | cells[state >> width &+ place]
            return (UInt64(low), UInt64(width))
        }

        func lastState(_ state: Int) -> (UInt64, UInt64) { (UInt64(state & (1 << accuracy - 1)), UInt64(accuracy)) }
    }
}

/// Writes bits, starting with the lowest bit of the first byte.
private struct ForwardWriter {
    private var target: UnsafeMutablePointer<UInt8>
    private var pending: UInt64 = 0
    private var count: UInt64 = 0

    init(_ target: UnsafeMutablePointer<UInt8>) { self.target = target }

    /// Appends the low bits of a number whose other bits are 0.
    @inline(__always)
    mutating func append(_ part: (bits: UInt64, width: UInt64)) {
        pending |= part.bits &<< count
        count &+= part.width
    }

    /// Writes all whole bytes; between two calls up to 56 bits can be appended.
    @inline(__always)
    mutating func flush() {
        UnsafeMutableRawPointer(target).storeBytes(of: pending.littleEndian, as: UInt64.self)
        let bytes = count &>> 3
        target += Int(bytes)
        pending = bytes == 8 ? 0 : pending &>> (8 &* bytes)
        count &-= 8 &* bytes
    }

    /// Ends the stream with the one bit that marks the end for a decoder, and returns the end.
    mutating func finish() -> UnsafeMutablePointer<UInt8> {
        append((1, 1))
        flush()
        guard count > 0 else { return target }
        target.pointee = UInt8(truncatingIfNeeded: pending)
        return target + 1
    }
}
