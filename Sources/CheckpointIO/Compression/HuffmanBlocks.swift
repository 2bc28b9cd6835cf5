import Glibc

/// Compresses byte planes to blocks of a zstd frame that hold literals and nothing else: what zstd does to bytes that do
/// not repeat, at twice its speed, since nothing is looked for.
///
/// For one frame at a time: `startFrame`, then its blocks in order, each by `encode`.
final class HuffmanBlocks {
    /// The most a block may hold.
    static let blockSize = 128 << 10
    /// Bytes of a block's header.
    static let headerSize = 3
    /// Fewer bytes than that are not worth a code.
    private static let smallest = 256
    /// Two counts of every byte for each of the four streams.
    private static let countTables = 8
    /// Up to so many bytes there is a table of pairs: with more, filling it takes longer than it saves.
    private static let mostForPairs = 96
    /// Blocks of fewer bytes are counted whole.
    private static let smallestForSample = 32 << 10
    private static let sampleCount = 4096
    /// The entry of a byte, or two, without a code: no bits, and a mark that adds up where codes leave room.
    private static let missing = BackwardWriter.mark

    /// Bytes of the block by stream; two tables a stream, so that equal neighbours need not wait for each other.
    private let counts = UnsafeMutablePointer<UInt32>.allocate(capacity: countTables * HuffmanCode.symbolCount)
    /// A code in the highest bits, its length in the lowest: for each byte.
    private let entries = UnsafeMutablePointer<UInt64>.allocate(capacity: HuffmanCode.symbolCount)
    /// The same for each two bytes that follow one another, as a little-endian number.
    private let pairs = UnsafeMutablePointer<UInt64>.allocate(capacity: 1 << 16)
    /// What a decoder still knows from the blocks before.
    private var code: HuffmanCode?
    /// How many times as many bits `code` took for the block it was made from as that block's entropy.
    private var excess = 1.0
    /// The code that `entries` and `pairs` are of.
    private var filled: HuffmanCode?
    /// Streams before it is known how long they are.
    private let streamMemory = UnsafeMutablePointer<UInt8>.allocate(capacity: 3 * streamCapacity)
    /// The longest a stream of a quarter of a block can be, and what is written beyond its end.
    private static let streamCapacity = blockSize / 4 * HuffmanCode.longest / 8 + 64

    init() {
        entries.initialize(repeating: Self.missing, count: HuffmanCode.symbolCount)
        pairs.initialize(repeating: Self.missing, count: 1 << 16)
    }

    deinit {
        counts.deallocate()
        entries.deallocate()
        pairs.deallocate()
        streamMemory.deallocate()
    }

    /// Forgets the code of the frame before.
    func startFrame() { code = nil }

    /// Writes a block's header at `target`.
    static func writeHeader(_ type: BlockType, size: Int, isLast: Bool, at target: UnsafeMutablePointer<UInt8>) {
        let header = UInt32(size) << 3 | type.rawValue << 1 | (isLast ? 1 : 0)
        for byte in 0..<headerSize { target[byte] = UInt8(truncatingIfNeeded: header >> (8 * UInt32(byte))) }
    }

    enum BlockType: UInt32 {
        case raw = 0
        case repeated = 1
        case compressed = 2
    }

    /// Writes one block with its header: compressed, one byte repeated, or as it is where coding saves less than a
    /// sixty-fourth.
    ///
    /// - Parameters:
    ///   - source: 1 to `blockSize` bytes.
    ///   - isLast: of the frame.
    ///   - isFollowed: whether a block of the same kind comes next, which may then be coded alike.
    ///   - target: room for the bytes and a header.
    /// - Returns: bytes written.
    func encode(
        _ source: UnsafeRawBufferPointer, isLast: Bool, isFollowed: Bool, at target: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let bytes = source.assumingMemoryBound(to: UInt8.self).baseAddress!
        // Whether each byte is like the one after it; where not, that is known after a few.
        if memcmp(bytes, bytes + 1, source.count - 1) == 0 {
            Self.writeHeader(.repeated, size: source.count, isLast: isLast, at: target)
            target[Self.headerSize] = bytes[0]
            return Self.headerSize + 1
        }
        if source.count >= Self.smallest {
            let streams = Streams(byteCount: source.count)
            let body = target + Self.headerSize
            if let size = repeatCode(bytes, streams, at: body)
                ?? encodeLiterals(bytes, streams, isFollowed: isFollowed, at: body)
            {
                Self.writeHeader(.compressed, size: size, isLast: isLast, at: target)
                return Self.headerSize + size
            }
        }
        return Self.store(source, isLast: isLast, at: target)
    }

    /// Writes one block with its header that holds the bytes as they are.
    /// - Returns: bytes written.
    static func store(_ source: UnsafeRawBufferPointer, isLast: Bool, at target: UnsafeMutablePointer<UInt8>) -> Int {
        writeHeader(.raw, size: source.count, isLast: isLast, at: target)
        UnsafeMutableRawPointer(target + headerSize).copyMemory(from: source.baseAddress!, byteCount: source.count)
        return headerSize + source.count
    }

    /// How a block's bytes are divided among four streams: equal parts, the last may be up to three bytes shorter.
    private struct Streams {
        let length: Int
        let lastLength: Int

        init(byteCount: Int) {
            length = (byteCount + 3) / 4
            lastLength = byteCount - 3 * length
        }
    }

    /// Counts each byte of each stream into the first four tables, and of all into the fifth.
    private func count(_ bytes: UnsafePointer<UInt8>, _ streams: Streams) {
        let size = HuffmanCode.symbolCount
        let counts = counts
        counts.initialize(repeating: 0, count: Self.countTables * size)
        let (a, b, c, d) = (
            bytes, bytes + streams.length, bytes + 2 * streams.length, bytes + 3 * streams.length
        )
        var index = 0
        while index &+ 1 < streams.lastLength {
            counts[Int(a[index])] &+= 1
            counts[256 &+ Int(b[index])] &+= 1
            counts[512 &+ Int(c[index])] &+= 1
            counts[768 &+ Int(d[index])] &+= 1
            counts[1024 &+ Int(a[index &+ 1])] &+= 1
            counts[1280 &+ Int(b[index &+ 1])] &+= 1
            counts[1536 &+ Int(c[index &+ 1])] &+= 1
            counts[1792 &+ Int(d[index &+ 1])] &+= 1
            index &+= 2
        }
        for (stream, part) in [a, b, c].enumerated() {
            for rest in index..<streams.length { counts[stream * size + Int(part[rest])] &+= 1 }
        }
        for rest in index..<streams.lastLength { counts[3 * size + Int(d[rest])] &+= 1 }
        for symbol in 0..<size {
            var total: UInt32 = 0
            for table in stride(from: 0, to: 4 * size, by: size) {
                counts[table + symbol] &+= counts[table + 4 * size + symbol]
                total &+= counts[table + symbol]
            }
            counts[4 * size + symbol] = total
        }
    }

    /// Writes the content of a compressed block with the code of the block before, uncounted, where a sample says that
    /// it does well. Counting takes as long as coding, and neighbours in a tensor are alike.
    /// - Returns: its bytes; nil where the code does not fit.
    private func repeatCode(
        _ bytes: UnsafePointer<UInt8>, _ streams: Streams, at target: UnsafeMutablePointer<UInt8>
    ) -> Int? {
        let byteCount = 3 * streams.length + streams.lastLength
        guard let code, byteCount >= Self.smallestForSample, suits(code, bytes, byteCount) else { return nil }
        let headerSize = Self.sectionHeaderSize(byteCount)
        fillTables(code)
        let first = target + headerSize + Self.jumpTableSize
        let starts = [first] + (0..<3).map { streamMemory + $0 * Self.streamCapacity }
        guard let ends = encodeStreams(bytes, streams, at: starts, hasPairs: code.symbols.count <= Self.mostForPairs)
        else { return nil }
        let sizes = zip(starts, ends).map { $1 - $0 }
        let size = Self.jumpTableSize + sizes.reduce(0, +)
        guard Self.isWorthIt(headerSize + size, byteCount) else { return nil }
        Self.writeSectionHeader(3, byteCount, size, sizes, description: [], at: target)
        var end = ends[0]
        for (start, size) in zip(starts, sizes).dropFirst() {
            end.update(from: start, count: size)
            end += size
        }
        return Self.writeEnd(at: end) - target
    }

    /// Whether the code needs at most one per cent more for a sample of the bytes than one of its own would.
    private func suits(_ code: HuffmanCode, _ bytes: UnsafePointer<UInt8>, _ byteCount: Int) -> Bool {
        let counts = counts
        counts.initialize(repeating: 0, count: HuffmanCode.symbolCount)
        let step = byteCount / Self.sampleCount | 1
        for position in stride(from: 0, to: byteCount, by: step) { counts[Int(bytes[position])] &+= 1 }
        guard let bits = code.bitCount(counts) else { return false }
        return Double(bits) <= 1.01 * excess * Self.entropy(of: counts)
    }

    /// The bits that the best coding there is would need for bytes that occur so often.
    private static func entropy(of counts: UnsafePointer<UInt32>) -> Double {
        let found = (0..<HuffmanCode.symbolCount).map { Double(counts[$0]) }.filter { $0 > 0 }
        let total = found.reduce(0, +)
        return found.reduce(0) { $0 + $1 * log2(total / $1) }
    }

    /// Writes the content of a compressed block: literals, and no sequences.
    /// - Returns: its bytes; nil where it is not worth it.
    private func encodeLiterals(
        _ bytes: UnsafePointer<UInt8>, _ streams: Streams, isFollowed: Bool, at target: UnsafeMutablePointer<UInt8>
    ) -> Int? {
        count(bytes, streams)
        let total = counts + 4 * HuffmanCode.symbolCount
        let byteCount = 3 * streams.length + streams.lastLength
        let entropy = Self.entropy(of: total)
        if isFollowed { Self.addNeighbours(total, byteCount) }
        guard let best = HuffmanCode(counts: total), let bestBits = best.bitCount(total) else { return nil }
        var description: [UInt8] = []
        // The code of the block before costs no description.
        let isKept: Bool
        if let code, let bits = code.bitCount(total), bits <= bestBits + 8 * best.symbols.count {
            isKept = true
        } else {
            guard let made = best.description() else { return nil }
            description = made
            isKept = false
        }
        let code = isKept ? code! : best
        let sizes = (0..<4).map { code.bitCount(counts + $0 * HuffmanCode.symbolCount)! / 8 + 1 }
        let size = description.count + Self.jumpTableSize + sizes.reduce(0, +)
        let headerSize = Self.sectionHeaderSize(byteCount)
        guard Self.isWorthIt(headerSize + size, byteCount) else { return nil }
        if !isKept {
            self.code = best
            excess = entropy > 0 ? Double(bestBits) / entropy : 1
        }
        Self.writeSectionHeader(isKept ? 3 : 2, byteCount, size, sizes, description: description, at: target)
        fillTables(code)
        var starts = [target + headerSize + description.count + Self.jumpTableSize]
        for size in sizes { starts.append(starts[starts.count - 1] + size) }
        guard
            let ends = encodeStreams(
                bytes, streams, at: starts, hasPairs: code.symbols.count <= Self.mostForPairs)
        else { return nil }
        return Self.writeEnd(at: ends[3]) - target
    }

    /// Counts bytes that do not occur as once where one next to them is rare: numbers a little smaller or larger than all
    /// of this block have a code then, should they come later. Next to a frequent byte that would make codes longer.
    private static func addNeighbours(_ counts: UnsafeMutablePointer<UInt32>, _ byteCount: Int) {
        let rare = (0..<HuffmanCode.symbolCount).filter { (1...max(1, byteCount / 1024)).contains(Int(counts[$0])) }
        for symbol in rare {
            for other in max(0, symbol - 2)...min(HuffmanCode.symbolCount - 1, symbol + 2) where counts[other] == 0 {
                counts[other] = 1
            }
        }
    }

    // MARK: - A block's parts

    /// The sizes of the first three streams, two bytes each.
    private static let jumpTableSize = 6

    /// A coded block has to be that much smaller than the bytes it is of.
    private static func isWorthIt(_ size: Int, _ byteCount: Int) -> Bool { size + 1 < byteCount - byteCount / 64 }

    private static func sectionHeaderSize(_ byteCount: Int) -> Int {
        3 + (byteCount >= 1 << 10 ? 1 : 0) + (byteCount >= 1 << 14 ? 1 : 0)
    }

    /// Writes type, format of the sizes and both sizes, the description of the code, and the sizes of the streams.
    private static func writeSectionHeader(
        _ type: UInt64, _ byteCount: Int, _ size: Int, _ streamSizes: [Int], description: [UInt8],
        at target: UnsafeMutablePointer<UInt8>
    ) {
        let headerSize = sectionHeaderSize(byteCount)
        let width = headerSize == 3 ? 10 : headerSize == 4 ? 14 : 18
        let format = UInt64(headerSize - 2)
        let header = type | format << 2 | UInt64(byteCount) << 4 | UInt64(size) << UInt64(4 + width)
        for byte in 0..<headerSize { target[byte] = UInt8(truncatingIfNeeded: header >> (8 * UInt64(byte))) }
        var end = target + headerSize
        for byte in description {
            end.pointee = byte
            end += 1
        }
        for stream in 0..<3 {
            end[2 * stream] = UInt8(truncatingIfNeeded: streamSizes[stream])
            end[2 * stream + 1] = UInt8(truncatingIfNeeded: streamSizes[stream] >> 8)
        }
    }

    /// Writes that there are no sequences.
    /// - Returns: the end of the block.
    private static func writeEnd(at target: UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<UInt8> {
        target.pointee = 0
        return target + 1
    }

    // MARK: - Streams

    private func fillTables(_ code: HuffmanCode) {
        if let filled {
            if filled.lengths == code.lengths { return }
            for second in filled.symbols {
                entries[Int(second)] = Self.missing
                let row = pairs + Int(second) << 8
                for first in filled.symbols { row[Int(first)] = Self.missing }
            }
        }
        filled = code
        for symbol in code.symbols {
            let length = UInt64(code.lengths[Int(symbol)])
            entries[Int(symbol)] = UInt64(code.codes[Int(symbol)]) << (64 - length) | length
        }
        guard code.symbols.count <= Self.mostForPairs else { return }
        for second in code.symbols {
            let later = entries[Int(second)]
            let row = pairs + Int(second) << 8
            for first in code.symbols {
                // The second is written first, which puts it below.
                let entry = entries[Int(first)]
                let length = entry & 0xff
                row[Int(first)] = (entry ^ length) | (later ^ later & 0xff) &>> length | (length + later & 0xff)
            }
        }
    }

    /// Writes the four streams, each from its start on and up to eight bytes beyond its end.
    ///
    /// Each is read backwards, so its last byte is written first. Two are written at a time, which keeps the processor
    /// busy; eight bytes are stored at once as long as that many are still to come in the stream.
    /// - Returns: where each ends; nil where a byte has no code.
    private func encodeStreams(
        _ bytes: UnsafePointer<UInt8>, _ streams: Streams, at starts: [UnsafeMutablePointer<UInt8>], hasPairs: Bool
    ) -> [UnsafeMutablePointer<UInt8>]? {
        // A code has at least one bit, so 64 bytes fill eight.
        let rest = 64
        let common = min(streams.lastLength, max(0, streams.lastLength - rest) / 4 * 4 + rest)
        var ends: [UnsafeMutablePointer<UInt8>] = []
        for first in [0, 2] {
            let (a, b) = (bytes + first * streams.length, bytes + (first + 1) * streams.length)
            var left = BackwardWriter(target: starts[first])
            var right = BackwardWriter(target: starts[first + 1])
            left.writeSlowly(a, streams.length, downTo: common, entries)
            right.writeSlowly(b, first == 0 ? streams.length : streams.lastLength, downTo: common, entries)
            var index = common
            if hasPairs {
                while index > rest {
                    index &-= 4
                    left.append(pairs[Self.pair(a, index &+ 2)])
                    right.append(pairs[Self.pair(b, index &+ 2)])
                    left.append(pairs[Self.pair(a, index)])
                    right.append(pairs[Self.pair(b, index)])
                    left.flush()
                    right.flush()
                }
            } else {
                while index > rest {
                    index &-= 4
                    for offset in [3, 2, 1, 0] {
                        left.append(entries[Int(a[index &+ offset])])
                        right.append(entries[Int(b[index &+ offset])])
                    }
                    left.flush()
                    right.flush()
                }
            }
            left.writeSlowly(a, index, downTo: 0, entries)
            right.writeSlowly(b, index, downTo: 0, entries)
            guard !left.hasMissed, !right.hasMissed else { return nil }
            ends += [left.finish(), right.finish()]
        }
        return ends
    }

    @inline(__always)
    private static func pair(_ bytes: UnsafePointer<UInt8>, _ index: Int) -> Int {
        Int(UInt16(littleEndian: UnsafeRawPointer(bytes + index).loadUnaligned(as: UInt16.self)))
    }
}

/// Appends codes to a stream, the first in its lowest bits.
private struct BackwardWriter {
    /// What is not yet written, in the highest bits, the newest uppermost; below may be anything.
    private var bits: UInt64 = 0
    /// In its lowest eight bits how many those are.
    private var count: UInt64 = 0
    /// The marks of entries so far, above the lowest eight bits.
    private var marks: UInt64 = 0
    private var target: UnsafeMutablePointer<UInt8>

    /// An entry without bits has this one, which reaches neither a length nor a code.
    static let mark: UInt64 = 1 << 8
    /// Where marks of some entries add up.
    private static let markBits: UInt64 = 0xff00

    init(target: UnsafeMutablePointer<UInt8>) { self.target = target }

    /// - Parameter entry: a code in the highest bits, its length in the lowest.
    @inline(__always)
    mutating func append(_ entry: UInt64) {
        // A shift takes the lowest six bits of its distance, which are the length.
        bits = bits &>> entry | entry
        count &+= entry
    }

    /// Writes whole bytes, and perhaps more that are written anew later. 1 to 56 bits are not yet written.
    @inline(__always)
    mutating func flush() {
        let pending = count & 0xff
        marks |= count
        UnsafeMutableRawPointer(target).storeBytes(of: (bits &>> (64 &- pending)).littleEndian, as: UInt64.self)
        target += Int(pending &>> 3)
        count = pending & 7
    }

    /// Writes the codes of bytes `start`..<`end`, the last first, and not a byte more than they fill.
    mutating func writeSlowly(
        _ bytes: UnsafePointer<UInt8>, _ end: Int, downTo start: Int, _ entries: UnsafePointer<UInt64>
    ) {
        for index in stride(from: end - 1, through: start, by: -1) {
            append(entries[Int(bytes[index])])
            marks |= count
            count &= 0xff
            while count >= 8 { writeByte() }
        }
    }

    private mutating func writeByte() {
        target.pointee = UInt8(truncatingIfNeeded: bits &>> (64 &- count))
        target += 1
        count -= 8
    }

    /// Whether a byte had no code.
    var hasMissed: Bool { marks & Self.markBits != 0 }

    /// Ends the stream with the bit by which a reader finds its last one.
    /// - Returns: its end.
    mutating func finish() -> UnsafeMutablePointer<UInt8> {
        append(1 << 63 | 1)
        count &= 0xff
        if count < 8 { append(8 - count) }
        count &= 0xff
        while count >= 8 { writeByte() }
        return target
    }
}
