/// A table of finite state entropy that decodes symbols (RFC 8878, section 4.1).
struct FiniteStateDecoder {
    private struct State {
        let symbol: UInt8
        /// Bits that are added to `base` to give the next state.
        let width: Int
        let base: Int
    }

    let accuracy: Int
    private let states: [State]
    /// Bytes that the description of the table takes.
    let byteCount: Int

    /// Reads the description of a table at the start of `bytes`; nil if it is not valid or exceeds the limits.
    init?(_ bytes: UnsafeRawBufferPointer, longestAccuracy: Int, symbolLimit: Int) {
        var reader = ForwardReader(bytes)
        accuracy = reader.take(4) + 5
        guard accuracy <= longestAccuracy else { return nil }
        let stateCount = 1 << accuracy
        var rest = stateCount
        // A share of -1 stands for one state at the end of the table.
        var shares: [Int] = []
        while rest > 0 {
            // The inverse of `FiniteStateCode.description`.
            let width = Int.bitWidth - (rest + 1).leadingZeroBitCount
            let spared = 1 << width - 1 - (rest + 1)
            var value = reader.take(width - 1)
            if value >= spared {
                value |= reader.take(1) << (width - 1)
                if value >= 1 << (width - 1) { value -= spared }
            }
            shares.append(value - 1)
            rest -= abs(value - 1)
            if value == 1 {
                var further = 0
                repeat {
                    further = reader.take(2)
                    shares += [Int](repeating: 0, count: further)
                } while further == 3 && !reader.isPastEnd
            }
            guard rest >= 0, shares.count <= symbolLimit, !reader.isPastEnd else { return nil }
        }
        byteCount = reader.byteCount
        states = Self.states(shares, stateCount)
    }

    private static func states(_ shares: [Int], _ stateCount: Int) -> [State] {
        var symbols = [Int](repeating: 0, count: stateCount)
        var highest = stateCount - 1
        for (symbol, share) in shares.enumerated() where share < 0 {
            symbols[highest] = symbol
            highest -= 1
        }
        var position = 0
        for (symbol, share) in shares.enumerated() where share > 0 {
            for _ in 0..<share {
                symbols[position] = symbol
                repeat {
                    position = (position + stateCount >> 1 + stateCount >> 3 + 3) & (stateCount - 1)
                } while position > highest
            }
        }
        var next = shares.map { abs($0) }
        return symbols.map { symbol in
            let number = next[symbol]
            next[symbol] += 1
            let width = stateCount.trailingZeroBitCount - (Int.bitWidth - 1 - number.leadingZeroBitCount)
            return State(symbol: UInt8(symbol), width: width, base: number << width - stateCount)
        }
    }

    /// Decodes symbols with two states in turn until the bits end; nil if there are more than `limit`.
    ///
    /// `bytes` are read backwards from the highest one of the last byte.
    func decodeAll(_ bytes: UnsafeRawBufferPointer, limit: Int) -> [UInt8]? {
        guard let last = bytes.last, last != 0 else { return nil }
        var left = 8 * bytes.count - last.leadingZeroBitCount - 1
        func take(_ width: Int) -> Int {
            left -= width
            return (0..<width).reduce(0) { value, bit in
                let place = left + bit
                return place < 0 ? value : value | Int(bytes[place >> 3] >> UInt8(place & 7) & 1) << bit
            }
        }
        var current = [take(accuracy), take(accuracy)]
        guard left >= 0 else { return nil }
        var symbols: [UInt8] = []
        while symbols.count < limit {
            let turn = symbols.count & 1
            let state = states[current[turn]]
            symbols.append(state.symbol)
            current[turn] = state.base + take(state.width)
            guard left < 0 else { continue }
            symbols.append(states[current[1 - turn]].symbol)
            return symbols.count <= limit ? symbols : nil
        }
        return nil
    }
}

/// Reads bits, starting with the lowest bit of the first byte; behind the end all bits are 0.
private struct ForwardReader {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func take(_ width: Int) -> Int {
        defer { position += width }
        return (0..<width).reduce(0) { value, bit in
            let place = position + bit
            return place >> 3 < bytes.count ? value | Int(bytes[place >> 3] >> UInt8(place & 7) & 1) << bit : value
        }
    }

    /// Bytes of which bits were read.
    var byteCount: Int { (position + 7) / 8 }
    var isPastEnd: Bool { byteCount > bytes.count }
}
