/// Decodes the frames that `EntropyFrame` writes, faster than libzstd does.
///
/// The blocks of these frames have literals only and do not straddle byte planes. Raw blocks are used where they are
/// stored. Frames of another structure, and damaged ones, are left to libzstd, which finds their problem. Not
/// thread-safe.
package final class EntropyFrameDecoder {
    private static let blockSize = HuffmanBlocks.blockSize
    private let huffman = HuffmanDecoder()
    private let decoded = ScratchBuffer()

    package init() {}

    /// Decodes a frame to elements of two or four bytes, and returns whether this succeeded.
    ///
    /// If not, the content of `destination` is undefined.
    package func decode(
        _ frame: UnsafeRawBufferPointer, elementSize: Int, into destination: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard elementSize == 2 || elementSize == 4, destination.count % elementSize == 0,
            var reader = FrameReader(frame, contentSize: destination.count)
        else { return false }
        huffman.startFrame()
        let planeSize = destination.count / elementSize
        let planes = decoded.resized(to: destination.count)
        var leading: [[UnsafePointer<UInt8>]] = []
        for plane in 0..<elementSize {
            let isLast = plane == elementSize - 1
            var blocks: [UnsafePointer<UInt8>] = []
            for (number, first) in stride(from: 0, to: planeSize, by: Self.blockSize).enumerated() {
                let count = min(Self.blockSize, planeSize - first)
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: planes[plane * planeSize + first..<plane * planeSize + first + count])
                guard let block = reader.nextBlock(huffman, into: target, isLast: isLast && first + count == planeSize)
                else { return false }
                guard isLast else {
                    blocks.append(block)
                    continue
                }
                // The last plane is joined with the others while it is in cache.
                // swift-format-ignore: NeverForceUnwrap
                let output = destination.baseAddress! + first * elementSize
                if elementSize == 2 {
                    ByteShuffle.join16(leading[0][number], block, output, count)
                } else {
                    ByteShuffle.join32(
                        (leading[0][number], leading[1][number], leading[2][number], block), output, count)
                }
            }
            leading.append(blocks)
        }
        return reader.isComplete
    }

    /// Decodes a frame to byte planes, and returns whether this succeeded.
    ///
    /// If not, the content of `planes` is undefined.
    package func decodePlanes(
        _ frame: UnsafeRawBufferPointer, planeCount: Int, into planes: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard planes.count % planeCount == 0, var reader = FrameReader(frame, contentSize: planes.count) else {
            return false
        }
        huffman.startFrame()
        let planeSize = planes.count / planeCount
        for plane in stride(from: 0, to: planes.count, by: planeSize) {
            for first in stride(from: plane, to: plane + planeSize, by: Self.blockSize) {
                let end = min(first + Self.blockSize, plane + planeSize)
                let target = UnsafeMutableRawBufferPointer(rebasing: planes[first..<end])
                guard let block = reader.nextBlock(huffman, into: target, isLast: end == planes.count) else {
                    return false
                }
                if UnsafeRawPointer(block) != UnsafeRawPointer(target.baseAddress) {
                    target.copyMemory(from: UnsafeRawBufferPointer(start: block, count: target.count))
                }
            }
        }
        return reader.isComplete
    }
}

/// Reads a frame block by block, and hashes its content.
private struct FrameReader {
    /// The frame without its checksum.
    private let bytes: UnsafeRawBufferPointer
    private let checksum: UInt32
    private var offset: Int
    private var hash = XXH64()

    /// Reads the header; nil if the frame lacks a checksum or has another content size.
    init?(_ frame: UnsafeRawBufferPointer, contentSize: Int) {
        guard contentSize > 0, frame.count > EntropyFrame.checksumSize,
            let start = ZstdDecompressor.headerSize(ofFrameWithChecksum: frame, contentSize: contentSize)
        else { return nil }
        let end = frame.count - EntropyFrame.checksumSize
        guard start <= end else { return nil }
        bytes = UnsafeRawBufferPointer(rebasing: frame[..<end])
        checksum = UInt32(littleEndian: frame.loadUnaligned(fromByteOffset: end, as: UInt32.self))
        offset = start
    }

    /// Whether all bytes are read and the content has the frame's checksum.
    var isComplete: Bool { offset == bytes.count && UInt32(truncatingIfNeeded: hash.finish()) == checksum }

    /// Decodes the next block, whose content is as long as `target`.
    ///
    /// - Returns: The content, in the frame or in `target`; nil if the block is longer or shorter, has sequences, is
    ///   not valid, or is or is not the last against `isLast`.
    mutating func nextBlock(
        _ huffman: HuffmanDecoder, into target: UnsafeMutableRawBufferPointer, isLast: Bool
    ) -> UnsafePointer<UInt8>? {
        let headerSize = HuffmanBlocks.headerSize
        guard offset + headerSize <= bytes.count else { return nil }
        let header = (0..<headerSize).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
        offset += headerSize
        guard header & 1 == (isLast ? 1 : 0), let type = HuffmanBlocks.BlockType(rawValue: UInt32(header >> 1 & 3))
        else { return nil }
        let size = type == .repeated ? 1 : header >> 3
        guard offset + size <= bytes.count else { return nil }
        let stored = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + size])
        offset += size
        let content: UnsafeRawBufferPointer
        switch type {
        case .raw:
            guard size == target.count else { return nil }
            content = stored
        case .repeated:
            guard header >> 3 == target.count else { return nil }
            target.initializeMemory(as: UInt8.self, repeating: stored[0])
            content = UnsafeRawBufferPointer(target)
        case .compressed:
            guard let literals = Self.literals(stored, huffman, into: target) else { return nil }
            content = literals
        }
        hash.update(content)
        return content.assumingMemoryBound(to: UInt8.self).baseAddress
    }

    /// Decodes the literals of a compressed block without sequences, in the block or in `target`.
    private static func literals(
        _ block: UnsafeRawBufferPointer, _ huffman: HuffmanDecoder, into target: UnsafeMutableRawBufferPointer
    ) -> UnsafeRawBufferPointer? {
        // The number of sequences, 0, is the last byte.
        guard let header = LiteralsHeader(block), header.contentSize == target.count,
            header.size + header.storedSize + 1 == block.count, block[block.count - 1] == 0
        else { return nil }
        let stored = UnsafeRawBufferPointer(rebasing: block[header.size..<block.count - 1])
        switch header.type {
        case .raw: return stored
        case .repeated: target.initializeMemory(as: UInt8.self, repeating: stored[0])
        case .coded, .codedAsBefore:
            var descriptionSize = 0
            if header.type == .coded {
                guard let size = huffman.readCode(stored) else { return nil }
                descriptionSize = size
            }
            let streams = UnsafeRawBufferPointer(rebasing: stored[descriptionSize...])
            guard huffman.decode(streams, isDivided: header.isDivided, into: target) else { return nil }
        }
        return UnsafeRawBufferPointer(target)
    }
}
