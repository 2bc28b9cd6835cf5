/// The weights of a Huffman code, compressed by finite state entropy coding (RFC 8878, sections 4.1 and 4.2.1.2).
enum HuffmanWeights {
    /// 64 states, the maximum for weights.
    private static let accuracy = 6
    private static let stateCount = 1 << accuracy

    /// Encodes weights of at most 11 in fewer than 128 bytes; nil if they need more, or are too few or too uniform.
    static func encode(_ weights: [UInt8]) -> [UInt8]? {
        var counts = [Int](repeating: 0, count: Int(weights.max() ?? 0) + 1)
        for weight in weights { counts[Int(weight)] += 1 }
        guard weights.count > 2, let code = FiniteStateCode(counts: counts, accuracy: accuracy) else { return nil }
        let (shares, cells, starts) = (code.shares, code.cells, code.starts)
        var bits = BitWriter()
        // The two interleaved states, each plus the number of states. Weights are coded from last to first because a
        // decoder reads backwards. It stops when it runs out of bits, so the last two weights start from their first
        // cells, which need bits.
        var states = [0, 0]
        for index in [weights.count - 1, weights.count - 2] {
            states[index & 1] = stateCount + cells[starts[Int(weights[index])]]
        }
        for index in stride(from: weights.count - 3, through: 0, by: -1) {
            let weight = Int(weights[index])
            let state = states[index & 1]
            var count = 0
            while state >> count >= 2 * shares[weight] { count += 1 }
            bits.append(UInt64(state & ((1 << count) - 1)), count)
            states[index & 1] = stateCount + cells[starts[weight] + state >> count - shares[weight]]
        }
        bits.append(UInt64(states[1] - stateCount), accuracy)
        bits.append(UInt64(states[0] - stateCount), accuracy)
        bits.append(1, 1)
        let bytes = code.description() + bits.finished()
        return bytes.count < 128 ? bytes : nil
    }

    /// Decodes weights; nil if they are not valid.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
        guard
            let table = FiniteStateDecoder(
                bytes, longestAccuracy: accuracy, symbolLimit: HuffmanCode.longest + 1)
        else { return nil }
        return table.decodeAll(
            UnsafeRawBufferPointer(rebasing: bytes[table.byteCount...]), limit: HuffmanCode.symbolCount - 1)
    }
}
