import CFileKernels

/// Compresses byte planes that are mostly zero, such as differences of weights, to zstd frames.
///
/// Planes come from the most significant to the least. Runs of zeros become matches that copy the same place of the
/// plane before, so that all matches have one offset, which costs nothing after the first; what is left are the lengths
/// of the runs and the bytes between them. Dense blocks are Huffman-coded, and random ones stored. The frames are
/// ordinary (RFC 8878), with content size and checksum. Not thread-safe.
package final class DifferenceFrame {
    private let blocks = HuffmanBlocks()
    private let sequences = SequenceSection()
    private let literals = UnsafeMutablePointer<UInt8>.allocate(capacity: HuffmanBlocks.blockSize + 8)
    /// The positions of a block that are not in a run of zeros.
    private let positions = UnsafeMutablePointer<UInt32>.allocate(capacity: HuffmanBlocks.blockSize + 64)
    private static let blockSize = HuffmanBlocks.blockSize

    package init() {}

    deinit {
        literals.deallocate()
        positions.deallocate()
    }

    /// The size of the output buffer for planes of `byteCount` bytes together.
    package static func outputBound(_ byteCount: Int, planeCount: Int) -> Int {
        EntropyFrame.outputBound(byteCount, elementSize: 2 * planeCount) + 64
    }

    /// Compresses planes of equal length to exactly one frame and returns the size of the frame.
    ///
    /// There is at least one byte and less than 4 GiB; `destination` has at least `outputBound` bytes.
    package func compress(
        _ planes: UnsafeRawBufferPointer, planeCount: Int, into destination: UnsafeMutableRawBufferPointer
    ) -> Int {
        EntropyFrame.writeHeader(contentSize: planes.count, to: destination)
        blocks.startFrame()
        // Neither buffer is empty.
        // swift-format-ignore: NeverForceUnwrap
        let input = planes.assumingMemoryBound(to: UInt8.self).baseAddress!
        // swift-format-ignore: NeverForceUnwrap
        let output = destination.assumingMemoryBound(to: UInt8.self).baseAddress!
        let planeSize = planes.count / planeCount
        var end = output + EntropyFrame.headerSize
        // The distance of the last match; frames begin with 1.
        var distance = 1
        for plane in 0..<planeCount {
            for start in stride(from: 0, to: planeSize, by: Self.blockSize) {
                let count = min(Self.blockSize, planeSize - start)
                let isLastOfPlane = start + count == planeSize
                let block = Block(
                    bytes: input + plane * planeSize + start, count: count,
                    distance: plane == 0 ? 1 : planeSize, isLast: isLastOfPlane && plane == planeCount - 1,
                    isFollowed: !isLastOfPlane)
                end = encode(block, &distance, at: end)
            }
        }
        var hash = XXH64()
        hash.update(planes)
        let checksum = UInt32(truncatingIfNeeded: hash.finish())
        UnsafeMutableRawPointer(end).storeBytes(of: checksum.littleEndian, as: UInt32.self)
        return end - output + EntropyFrame.checksumSize
    }

    /// A block of a plane.
    private struct Block {
        let bytes: UnsafePointer<UInt8>
        let count: Int
        /// How far back the matches copy from: from the plane before, or from the byte before in the first plane.
        let distance: Int
        let isLast: Bool
        let isFollowed: Bool

        var content: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: bytes, count: count) }
    }

    /// Writes a block, and returns its end.
    private func encode(
        _ block: Block, _ distance: inout Int, at target: UnsafeMutablePointer<UInt8>
    ) -> UnsafeMutablePointer<UInt8> {
        guard let literalCount = collect(block) else {
            if EntropyFrame.isRandom(block.bytes, stride: 1, block.count) {
                return target + HuffmanBlocks.store(block.content, isLast: block.isLast, at: target)
            }
            return target
                + blocks.encode(block.content, isLast: block.isLast, isFollowed: block.isFollowed, at: target)
        }
        guard distance != block.distance else {
            return write(
                0..<sequences.count, UnsafeRawBufferPointer(start: literals, count: literalCount), .repeated,
                isLast: block.isLast, at: target)
        }
        // The first sequence states the distance of its match, in a block of its own; later ones reuse that distance.
        distance = block.distance
        let (first, match) = sequences.first
        let isWhole = first + match == block.count
        let end = write(
            0..<1, UnsafeRawBufferPointer(start: literals, count: first), .distance(distance),
            isLast: isWhole && block.isLast, at: target)
        guard !isWhole else { return end }
        let rest = UnsafeRawBufferPointer(start: literals + first, count: literalCount - first)
        if sequences.count > 1 { return write(1..<sequences.count, rest, .repeated, isLast: block.isLast, at: end) }
        return end + blocks.encode(rest, isLast: block.isLast, isFollowed: false, at: end)
    }

    private func write(
        _ range: Range<Int>, _ literals: UnsafeRawBufferPointer, _ offset: SequenceSection.Offset, isLast: Bool,
        at target: UnsafeMutablePointer<UInt8>
    ) -> UnsafeMutablePointer<UInt8> {
        let body = target + HuffmanBlocks.headerSize
        let section = body + blocks.encodeSection(literals, at: body)
        let end = sequences.write(range, offset: offset, at: section)
        HuffmanBlocks.writeHeader(.compressed, size: end - body, isLast: isLast, at: target)
        return end
    }

    /// Blocks of fewer bytes have no sequences, whose tables might take more than the bytes.
    private static let smallest = 1024

    /// Finds the runs of zeros of a block, and returns the number of literals; nil if there are no runs, nothing else,
    /// or too many literals.
    private func collect(_ block: Block) -> Int? {
        let (bytes, count) = (block.bytes, block.count)
        guard count >= Self.smallest else { return nil }
        // In the first plane the byte before is compared, which stands for nothing: a run begins with a literal there.
        let above = block.distance == 1 ? bytes : bytes - block.distance
        // With more, Huffman coding gives fewer bytes.
        let limit = 2 * count / 5
        let found = ckpt_nonzero_positions(bytes, above, count, limit, positions)
        guard found >= 0 else { return nil }
        let (literals, positions) = (literals, positions)
        var (literalCount, pending, index) = (0, 0, 0)
        let isFilled = sequences.fill { literalCounts, matchLengths in
            var sequenceCount = 0
            for number in 0...found {
                let position = number < found ? Int(positions[number]) : count
                let length = position &- index
                if length > 0 {
                    let lead = block.distance == 1 || pending == 0 ? 1 : 0
                    let isMatch = length &- lead >= SequenceSection.shortestMatch
                    let copied = isMatch ? lead : length
                    guard literalCount &+ copied < limit else { return nil }
                    for place in 0..<copied { literals[literalCount &+ place] = 0 }
                    literalCount &+= copied
                    pending &+= copied
                    if isMatch {
                        literalCounts[sequenceCount] = UInt32(truncatingIfNeeded: pending)
                        matchLengths[sequenceCount] = UInt32(truncatingIfNeeded: length &- lead)
                        sequenceCount &+= 1
                        pending = 0
                    }
                }
                guard number < found else { break }
                guard literalCount < limit else { return nil }
                literals[literalCount] = bytes[position]
                literalCount &+= 1
                pending &+= 1
                index = position &+ 1
            }
            return sequenceCount
        }
        let isEmpty = sequences.count == 0 || sequences.count == 1 && literalCount == 1
        return !isFilled || isEmpty ? nil : literalCount
    }
}
