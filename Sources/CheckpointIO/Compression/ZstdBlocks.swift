/// The blocks of a zstd frame (RFC 8878, section 3.1.1.2), as far as libzstd before 1.5.6 does not check them.
package enum ZstdBlocks {
    /// Whether all reserved bits of the sequences are 0.
    ///
    /// Later versions of libzstd refuse other frames, and so do the readers that are built with them.
    ///
    /// - Parameters:
    ///   - frame: a whole frame that libzstd has decompressed.
    ///   - headerSize: its size before the first block, in bytes.
    /// - Returns: false if a bit is set or the blocks do not fit into the frame.
    package static func areReservedBitsClear(_ frame: UnsafeRawBufferPointer, headerSize: Int) -> Bool {
        var offset = headerSize
        while let header = littleEndian(frame, at: offset, byteCount: 3) {
            offset += 3
            let type = header >> 1 & 3
            let count = type == 1 ? 1 : header >> 3
            guard offset + count <= frame.count else { return false }
            let content = UnsafeRawBufferPointer(rebasing: frame[offset..<offset + count])
            if type == 2, !isModeClear(content) { return false }
            offset += count
            if header & 1 == 1 { return true }
        }
        return false
    }

    /// Whether the two reserved bits in a compressed block are 0; they are in the byte after the number of sequences.
    private static func isModeClear(_ block: UnsafeRawBufferPointer) -> Bool {
        guard let literals = LiteralsHeader(block) else { return false }
        let sequences = literals.size + literals.storedSize
        guard sequences < block.count else { return false }
        let first = block[sequences]
        if first == 0 { return sequences + 1 == block.count }
        let mode = sequences + (first < 128 ? 1 : first < 255 ? 2 : 3)
        return mode < block.count && block[mode] & 3 == 0
    }

    /// A little-endian number; nil behind the end.
    fileprivate static func littleEndian(_ bytes: UnsafeRawBufferPointer, at offset: Int, byteCount: Int) -> Int? {
        guard offset + byteCount <= bytes.count else { return nil }
        return (0..<byteCount).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
    }
}

/// The header of the literals section of a compressed block (RFC 8878, section 3.1.1.3.1).
struct LiteralsHeader {
    enum LiteralsType: UInt8 {
        case raw = 0
        case repeated = 1
        /// Huffman-coded, with a description of the code.
        case coded = 2
        /// Huffman-coded, with the code of an earlier block.
        case codedAsBefore = 3
    }

    let type: LiteralsType
    /// Bytes of the header.
    let size: Int
    /// Bytes of the section after the header.
    let storedSize: Int
    /// Bytes of the literals.
    let contentSize: Int
    /// Whether coded literals are in four streams rather than one.
    let isDivided: Bool

    /// Reads the header at the start of a block; nil if the block ends before.
    init?(_ block: UnsafeRawBufferPointer) {
        guard let first = block.first, let type = LiteralsType(rawValue: first & 3) else { return nil }
        self.type = type
        let format = Int(first >> 2 & 3)
        isDivided = format != 0
        switch type {
        case .raw, .repeated:
            let (size, shift) = [(1, 3), (2, 4), (1, 3), (3, 4)][format]
            guard let header = ZstdBlocks.littleEndian(block, at: 0, byteCount: size) else { return nil }
            self.size = size
            contentSize = header >> shift
            storedSize = type == .raw ? contentSize : 1
        case .coded, .codedAsBefore:
            let (size, sizeBits) = [(3, 10), (3, 10), (4, 14), (5, 18)][format]
            guard let header = ZstdBlocks.littleEndian(block, at: 0, byteCount: size) else { return nil }
            self.size = size
            contentSize = header >> 4 & (1 << sizeBits - 1)
            storedSize = header >> (4 + sizeBits)
        }
    }
}
