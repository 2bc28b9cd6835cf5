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
        while let header = integer(frame, at: offset, byteCount: 3) {
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
        guard let sequences = literalsSize(block), sequences < block.count else { return false }
        let first = block[sequences]
        if first == 0 { return sequences + 1 == block.count }
        let mode = sequences + (first < 128 ? 1 : first < 255 ? 2 : 3)
        return mode < block.count && block[mode] & 3 == 0
    }

    /// The size of the literals section with its header, in bytes.
    private static func literalsSize(_ block: UnsafeRawBufferPointer) -> Int? {
        guard let first = block.first else { return nil }
        let format = Int(first >> 2 & 3)
        if first & 3 < 2 {
            // Raw literals, or one byte repeated.
            let (headerSize, shift) = [(1, 3), (2, 4), (1, 3), (3, 4)][format]
            guard let header = integer(block, at: 0, byteCount: headerSize) else { return nil }
            return headerSize + (first & 3 == 1 ? 1 : header >> shift)
        }
        let (headerSize, sizeBits) = [(3, 10), (3, 10), (4, 14), (5, 18)][format]
        return integer(block, at: 0, byteCount: headerSize).map { headerSize + ($0 >> (4 + sizeBits)) }
    }

    /// A little-endian number; nil behind the end.
    private static func integer(_ bytes: UnsafeRawBufferPointer, at offset: Int, byteCount: Int) -> Int? {
        guard offset + byteCount <= bytes.count else { return nil }
        return (0..<byteCount).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
    }
}
