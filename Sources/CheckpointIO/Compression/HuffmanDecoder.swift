import CFileKernels

/// Decodes literals that are coded with a Huffman code (RFC 8878, section 4.2).
///
/// A look-up takes the next 11 bits of a stream and gives all symbols whose codes lie in them. The exponents of trained
/// weights take about 2.7 bits each, so that a look-up gives three or four. Not thread-safe.
final class HuffmanDecoder {
    private static let indexBits = Int(ckpt_huffman_index_bits)

    /// For each index the bits that the codes take in the lowest byte, then the symbols, and their number in the
    /// highest byte.
    private let entries = UnsafeMutablePointer<UInt64>.allocate(capacity: 1 << indexBits)
    /// For each index the bits of the first code in the low byte, and its symbol in the high one.
    private let firstCodes = UnsafeMutablePointer<UInt16>.allocate(capacity: 1 << indexBits)
    /// Whether `readCode` has succeeded since `startFrame`.
    private(set) var hasCode = false

    deinit {
        entries.deallocate()
        firstCodes.deallocate()
    }

    /// Discards the code of the previous frame.
    func startFrame() { hasCode = false }

    // MARK: - The code

    /// Reads the description of a code, and returns its size in bytes; nil if it is not valid.
    func readCode(_ description: UnsafeRawBufferPointer) -> Int? {
        hasCode = false
        guard let first = description.first else { return nil }
        var size = 1
        var weights: [UInt8] = []
        if first >= 128 {
            let count = Int(first) - 127
            size += (count + 1) / 2
            guard size <= description.count else { return nil }
            weights = (0..<count).map { description[1 + $0 / 2] >> ($0 & 1 == 0 ? 4 : 0) & 15 }
        } else {
            size += Int(first)
            guard size <= description.count,
                let decoded = HuffmanWeights.decode(UnsafeRawBufferPointer(rebasing: description[1..<size]))
            else { return nil }
            weights = decoded
        }
        guard fill(weights) else { return nil }
        hasCode = true
        return size
    }

    /// Fills both tables from the weights of all symbols but the last; returns whether they are those of a code.
    private func fill(_ weights: [UInt8]) -> Bool {
        guard weights.count < HuffmanCode.symbolCount, weights.allSatisfy({ $0 <= HuffmanCode.longest }) else {
            return false
        }
        let sum = weights.reduce(0) { $0 + ($1 > 0 ? 1 << (Int($1) - 1) : 0) }
        guard sum > 0 else { return false }
        // The weight of the last symbol makes the sum a power of two.
        let maximum = Int.bitWidth - sum.leadingZeroBitCount
        let rest = 1 << maximum - sum
        guard maximum <= Self.indexBits, rest.nonzeroBitCount == 1 else { return false }
        let weights = weights + [UInt8(rest.trailingZeroBitCount + 1)]
        let longest = weights.count { $0 == 1 }
        guard longest >= 2, longest % 2 == 0 else { return false }
        var index = 0
        for weight in 1...maximum {
            for (symbol, other) in weights.enumerated() where Int(other) == weight {
                let count = 1 << (weight - 1 + Self.indexBits - maximum)
                let code = UInt16(symbol) << 8 | UInt16(maximum + 1 - weight)
                (firstCodes + index).initialize(repeating: code, count: count)
                index += count
            }
        }
        ckpt_huffman_fill(firstCodes, entries)
        return true
    }

    // MARK: - Streams

    /// The bytes of a stream and where its symbols go.
    private struct Slice {
        let start: UnsafePointer<UInt8>
        let count: Int
        let target: UnsafeMutablePointer<UInt8>
        let symbolCount: Int
    }

    /// Decodes one stream, or four whose sizes are at the start; returns whether they fill `target` exactly.
    func decode(
        _ bytes: UnsafeRawBufferPointer, isDivided: Bool, into target: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard hasCode, let input = bytes.assumingMemoryBound(to: UInt8.self).baseAddress,
            let output = target.assumingMemoryBound(to: UInt8.self).baseAddress
        else { return false }
        guard isDivided else {
            return finish(Slice(start: input, count: bytes.count, target: output, symbolCount: target.count))
        }
        let jumpTableSize = 6
        let length = (target.count + 3) / 4
        guard bytes.count > jumpTableSize, target.count > 3 * length else { return false }
        var slices: [Slice] = []
        var start = jumpTableSize
        for stream in 0..<4 {
            let count = stream == 3 ? bytes.count - start : Int(input[2 * stream]) | Int(input[2 * stream + 1]) << 8
            guard count > 0, start + count <= bytes.count else { return false }
            slices.append(
                Slice(
                    start: input + start, count: count, target: output + stream * length,
                    symbolCount: stream == 3 ? target.count - 3 * length : length))
            start += count
        }
        guard slices.allSatisfy({ $0.count >= 8 && $0.start[$0.count - 1] != 0 }) else {
            return slices.allSatisfy(finish)
        }
        let streams = slices.map(Self.stream)
        return withUnsafeTemporaryAllocation(of: ckpt_huffman_stream.self, capacity: streams.count) { copies in
            _ = copies.initialize(from: streams)
            ckpt_huffman_decode(entries, copies.baseAddress)
            return copies.allSatisfy(finish)
        }
    }

    /// A stream of at least eight bytes, the last of which is not 0.
    private static func stream(_ slice: Slice) -> ckpt_huffman_stream {
        let source = slice.start + (slice.count - 8)
        let loaded = UInt64(littleEndian: UnsafeRawPointer(source).loadUnaligned(as: UInt64.self))
        return ckpt_huffman_stream(
            bits: (loaded | 1) << UInt64(slice.start[slice.count - 1].leadingZeroBitCount + 1), source: source,
            start: slice.start, target: slice.target, end: slice.target + slice.symbolCount)
    }

    private func finish(_ slice: Slice) -> Bool {
        guard slice.count > 0, slice.start[slice.count - 1] != 0 else { return false }
        let bitsLeft = 8 * slice.count - slice.start[slice.count - 1].leadingZeroBitCount - 1
        return finish(slice.start, bitsLeft: bitsLeft, slice.target, slice.target + slice.symbolCount)
    }

    /// Decodes what is left of a stream; returns whether all of its bits give the symbols that are missing.
    private func finish(_ stream: ckpt_huffman_stream) -> Bool {
        // `source` is never before `start`.
        // swift-format-ignore: NeverForceUnwrap
        let (start, target, end) = (stream.start!, stream.target!, stream.end!)
        let bitsLeft = 8 * (stream.source - start + 8) - stream.bits.trailingZeroBitCount
        return finish(start, bitsLeft: bitsLeft, target, end)
    }

    /// Decodes symbol by symbol, without reading or writing out of bounds.
    private func finish(
        _ start: UnsafePointer<UInt8>, bitsLeft: Int, _ target: UnsafeMutablePointer<UInt8>,
        _ end: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        var (left, target) = (bitsLeft, target)
        while target < end {
            var bits = Self.bits(start, before: left)
            var used = 0
            while target < end, used <= 56 - Self.indexBits {
                let code = firstCodes[Int(bits >> UInt64(64 - Self.indexBits))]
                bits <<= UInt64(code & 0xff)
                used += Int(code & 0xff)
                target.pointee = UInt8(code >> 8)
                target += 1
            }
            left -= used
            guard left >= 0 else { return false }
        }
        return left == 0
    }

    /// At least 56 bits of a stream before the bit at `end`, uppermost first, with zeros for those before its start.
    private static func bits(_ start: UnsafePointer<UInt8>, before end: Int) -> UInt64 {
        let byteCount = (end + 7) / 8
        var bits: UInt64 = 0
        for byte in max(0, byteCount - 8)..<byteCount {
            bits |= UInt64(start[byte]) << UInt64(8 * (8 - byteCount + byte))
        }
        return bits << UInt64(8 * byteCount - end)
    }
}
