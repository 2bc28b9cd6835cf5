import Glibc

/// Compresses byte planes to zstd blocks that contain literals only, and the literals of blocks with sequences.
///
/// The result is the same as zstd's for data without repetition, at twice its speed because matches are not searched.
/// Call `startFrame`, then `encode` for the blocks of the frame in order.
final class HuffmanBlocks {
    /// Maximum content of a block.
    static let blockSize = 128 << 10
    /// Bytes of a block's header.
    static let headerSize = 3
    /// Blocks of fewer bytes are stored raw.
    private static let smallest = 256
    /// Two tables of counts for each of the four streams.
    private static let countTables = 8
    /// Maximum number of symbols for the table of pairs: with more, filling it takes longer than it saves.
    private static let mostForPairs = 96
    /// Blocks of fewer bytes are counted completely rather than sampled.
    private static let smallestForSample = 32 << 10
    private static let sampleCount = 4096
    /// The entry of a byte or pair without a code: no bits, and a marker that `BackwardWriter` detects.
    private static let missing = BackwardWriter.missing

    /// Counts per stream; two tables per stream, so that runs of equal bytes do not wait for the previous increment.
    private let counts = UnsafeMutablePointer<UInt32>.allocate(capacity: countTables * HuffmanCode.symbolCount)
    /// For each byte its code in the highest bits and the code's length in the lowest.
    private let entries = UnsafeMutablePointer<UInt64>.allocate(capacity: HuffmanCode.symbolCount)
    /// The same for each pair of bytes, indexed by the pair as a little-endian number.
    private let pairs = UnsafeMutablePointer<UInt64>.allocate(capacity: 1 << 16)
    /// The code of the previous block, which a decoder remembers.
    private var code: HuffmanCode?
    /// The size of the block from which `code` was made, relative to the block's entropy.
    private var excess = 1.0
    /// The code in `entries` and `pairs`.
    private var filled: HuffmanCode?
    /// Streams whose length is not known yet.
    private let streamMemory = UnsafeMutablePointer<UInt8>.allocate(capacity: 3 * streamCapacity)
    /// The maximum length of a stream, plus the bytes that are written beyond its end.
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

    /// Discards the code of the previous frame.
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

    /// Writes one block with its header: compressed, one repeated byte, or raw if coding saves less than 1/64.
    ///
    /// - Parameters:
    ///   - source: 1 to `blockSize` bytes.
    ///   - isLast: whether the block is the last of the frame.
    ///   - isFollowed: whether a similar block follows, which may reuse this block's code.
    ///   - target: has room for the bytes of `source` and a header.
    /// - Returns: The number of bytes written.
    func encode(
        _ source: UnsafeRawBufferPointer, isLast: Bool, isFollowed: Bool, at target: UnsafeMutablePointer<UInt8>
    ) -> Int {
        // A block is never empty.
        // swift-format-ignore: NeverForceUnwrap
        let bytes = source.assumingMemoryBound(to: UInt8.self).baseAddress!
        // Every byte equals the next one; on other data the comparison ends early.
        if memcmp(bytes, bytes + 1, source.count - 1) == 0 {
            Self.writeHeader(.repeated, size: source.count, isLast: isLast, at: target)
            target[Self.headerSize] = bytes[0]
            return Self.headerSize + 1
        }
        let body = target + Self.headerSize
        guard let size = codedLiterals(source, isFollowed: isFollowed, at: body) else {
            return Self.store(source, isLast: isLast, at: target)
        }
        // The number of sequences.
        body[size] = 0
        Self.writeHeader(.compressed, size: size + 1, isLast: isLast, at: target)
        return Self.headerSize + size + 1
    }

    /// Writes the literals section of a block that has sequences: coded, one repeated byte, or raw.
    ///
    /// - Parameters:
    ///   - source: up to `blockSize` bytes.
    ///   - target: has room for the bytes of `source` and three more.
    /// - Returns: The number of bytes written.
    func encodeSection(_ source: UnsafeRawBufferPointer, at target: UnsafeMutablePointer<UInt8>) -> Int {
        let isRepeated = source.count > 3 && source.dropFirst().allSatisfy { $0 == source[0] }
        if !isRepeated, let size = codedLiterals(source, isFollowed: true, at: target) { return size }
        let type: UInt32 = isRepeated ? 1 : 0
        let headerSize = source.count < 32 ? 1 : source.count < 4096 ? 2 : 3
        let header =
            headerSize == 1
            ? type | UInt32(source.count) << 3
            : type | UInt32(2 * headerSize - 3) << 2 | UInt32(source.count) << 4
        for byte in 0..<headerSize { target[byte] = UInt8(truncatingIfNeeded: header >> (8 * UInt32(byte))) }
        let content = isRepeated ? UnsafeRawBufferPointer(rebasing: source.prefix(1)) : source
        UnsafeMutableRawBufferPointer(start: target + headerSize, count: content.count).copyMemory(from: content)
        return headerSize + content.count
    }

    /// Writes a section of coded literals; returns the number of bytes, or nil if coding is not worth it.
    private func codedLiterals(
        _ source: UnsafeRawBufferPointer, isFollowed: Bool, at target: UnsafeMutablePointer<UInt8>
    ) -> Int? {
        guard source.count >= Self.smallest, let bytes = source.assumingMemoryBound(to: UInt8.self).baseAddress else {
            return nil
        }
        let streams = Streams(byteCount: source.count)
        return repeatCode(bytes, streams, at: target)
            ?? encodeLiterals(bytes, streams, isFollowed: isFollowed, at: target)
    }

    /// Writes one raw block with its header, and returns the number of bytes written.
    static func store(_ source: UnsafeRawBufferPointer, isLast: Bool, at target: UnsafeMutablePointer<UInt8>) -> Int {
        writeHeader(.raw, size: source.count, isLast: isLast, at: target)
        UnsafeMutableRawBufferPointer(start: target + headerSize, count: source.count).copyMemory(from: source)
        return headerSize + source.count
    }

    /// The division of a block into four streams of equal length; the last may be up to three bytes shorter.
    private struct Streams {
        let length: Int
        let lastLength: Int

        init(byteCount: Int) {
            length = (byteCount + 3) / 4
            lastLength = byteCount - 3 * length
        }
    }

    /// Counts the bytes of each stream in the first four tables, and all bytes in the fifth.
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

    /// Writes a section of literals with the previous block's code if a sample shows that the code fits.
    ///
    /// This saves counting, which takes as long as coding; neighbouring blocks of a tensor are similar. The result is
    /// the number of bytes written, or nil if the code does not fit.
    private func repeatCode(
        _ bytes: UnsafePointer<UInt8>, _ streams: Streams, at target: UnsafeMutablePointer<UInt8>
    ) -> Int? {
        let byteCount = 3 * streams.length + streams.lastLength
        guard let code, byteCount >= Self.smallestForSample, fits(code, bytes, byteCount) else { return nil }
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
        return end - target
    }

    /// Whether the code needs at most 1 % more bits for a sample of the bytes than the sample's own code would.
    private func fits(_ code: HuffmanCode, _ bytes: UnsafePointer<UInt8>, _ byteCount: Int) -> Bool {
        let counts = counts
        counts.initialize(repeating: 0, count: HuffmanCode.symbolCount)
        let step = byteCount / Self.sampleCount | 1
        for position in stride(from: 0, to: byteCount, by: step) { counts[Int(bytes[position])] &+= 1 }
        guard let bits = code.bitCount(counts) else { return false }
        return Double(bits) <= 1.01 * excess * Self.entropy(of: counts)
    }

    /// The entropy of bytes with these counts, in bits.
    private static func entropy(of counts: UnsafePointer<UInt32>) -> Double {
        let found = (0..<HuffmanCode.symbolCount).map { Double(counts[$0]) }.filter { $0 > 0 }
        let total = found.reduce(0, +)
        return found.reduce(0) { $0 + $1 * log2(total / $1) }
    }

    /// Writes a section of literals; returns the number of bytes, or nil if coding is not worth it.
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
        // The previous block's code needs no description.
        let kept = code.flatMap { code in
            code.bitCount(total).map { $0 <= bestBits + 8 * best.symbols.count } == true ? code : nil
        }
        if kept == nil {
            guard let made = best.description() else { return nil }
            description = made
        }
        let code = kept ?? best
        // Both codes have a code for every byte that occurs.
        let sizes = (0..<4).map { (code.bitCount(counts + $0 * HuffmanCode.symbolCount) ?? 0) / 8 + 1 }
        let size = description.count + Self.jumpTableSize + sizes.reduce(0, +)
        let headerSize = Self.sectionHeaderSize(byteCount)
        guard Self.isWorthIt(headerSize + size, byteCount) else { return nil }
        if kept == nil {
            self.code = best
            excess = entropy > 0 ? Double(bestBits) / entropy : 1
        }
        Self.writeSectionHeader(kept == nil ? 2 : 3, byteCount, size, sizes, description: description, at: target)
        fillTables(code)
        var starts = [target + headerSize + description.count + Self.jumpTableSize]
        for size in sizes { starts.append(starts[starts.count - 1] + size) }
        guard
            let ends = encodeStreams(
                bytes, streams, at: starts, hasPairs: code.symbols.count <= Self.mostForPairs)
        else { return nil }
        return ends[3] - target
    }

    /// Gives neighbours of rare symbols a count of 1, so that a later block can reuse the code for values slightly out
    /// of this block's range.
    ///
    /// Neighbours of frequent symbols are left out because they would make the codes of frequent symbols longer.
    private static func addNeighbours(_ counts: UnsafeMutablePointer<UInt32>, _ byteCount: Int) {
        let rare = (0..<HuffmanCode.symbolCount).filter { (1...max(1, byteCount / 1024)).contains(Int(counts[$0])) }
        for symbol in rare {
            for other in max(0, symbol - 2)...min(HuffmanCode.symbolCount - 1, symbol + 2) where counts[other] == 0 {
                counts[other] = 1
            }
        }
    }

    // MARK: - Parts of a block

    /// The sizes of the first three streams, two bytes each.
    private static let jumpTableSize = 6

    /// Whether coding saves more than 1/64 of the block.
    private static func isWorthIt(_ size: Int, _ byteCount: Int) -> Bool { size + 1 < byteCount - byteCount / 64 }

    private static func sectionHeaderSize(_ byteCount: Int) -> Int {
        3 + (byteCount >= 1 << 10 ? 1 : 0) + (byteCount >= 1 << 14 ? 1 : 0)
    }

    /// Writes the type, the format of the sizes, both sizes, the description of the code, and the sizes of the streams.
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
                // The second code is written first and therefore takes the lower bits.
                let entry = entries[Int(first)]
                let length = entry & 0xff
                row[Int(first)] = (entry ^ length) | (later ^ later & 0xff) &>> length | (length + later & 0xff)
            }
        }
    }

    /// Writes the four streams and returns their ends; nil if a byte has no code.
    ///
    /// Decoders read streams backwards, so the last byte is written first. Two streams are written in parallel, which
    /// uses the processor better. Eight bytes are stored at once, so up to eight bytes after a stream are overwritten.
    private func encodeStreams(
        _ bytes: UnsafePointer<UInt8>, _ streams: Streams, at starts: [UnsafeMutablePointer<UInt8>], hasPairs: Bool
    ) -> [UnsafeMutablePointer<UInt8>]? {
        // A code has at least one bit, so the last 64 bytes fill the eight bytes that may be overwritten.
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
