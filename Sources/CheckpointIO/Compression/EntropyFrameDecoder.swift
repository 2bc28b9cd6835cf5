/// A fast decoder for the frames that `EntropyFrame` makes of weights.
///
/// All byte planes but the last are raw blocks in these frames. They are copied from the stored bytes to their
/// destination, and only the last plane passes through zstd.
enum EntropyFrameDecoder {
    private static let blockSize = 128 << 10
    private static let blockHeaderSize = 3
    private static let checksumSize = 4
    /// Magic number; flags for single segment, content size of four bytes and no checksum.
    private static let header: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0b1010_0000]
    private static let headerSize = header.count + 4

    /// Decodes a frame to elements, and returns whether this succeeded.
    ///
    /// Parts of `stored` are overwritten while this runs and restored afterwards; `planes` is a scratch buffer. If the
    /// frame has another structure or is damaged, the result is false and the content of `destination` is undefined.
    static func decode(
        _ stored: UnsafeMutableRawBufferPointer, elementSize: Int, planes: ScratchBuffer,
        _ decompressor: ZstdDecompressor, into destination: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard elementSize == 2 || elementSize == 4, destination.count % elementSize == 0,
            stored.count > headerSize + checksumSize, destination.count <= UInt32.max,
            let start = ZstdDecompressor.headerSize(
                ofFrameWithChecksum: UnsafeRawBufferPointer(stored), contentSize: destination.count)
        else { return false }
        let planeSize = destination.count / elementSize
        var hash = XXH64()
        guard let leading = rawBlocks(stored, from: start, planeSize, elementSize - 1, &hash) else { return false }

        // A frame header is written over the bytes before the blocks of the last plane, and these are then restored.
        let checksumStart = stored.count - checksumSize
        let frame = UnsafeMutableRawBufferPointer(rebasing: stored[leading.end - headerSize..<checksumStart])
        let covered = Array(frame[..<headerSize])
        frame.copyBytes(from: header)
        frame.storeBytes(of: UInt32(planeSize).littleEndian, toByteOffset: header.count, as: UInt32.self)
        let plane = planes.resized(to: planeSize)
        let isDecoded =
            decompressor.fill(plane, from: UnsafeRawBufferPointer(frame))
            && ZstdBlocks.areReservedBitsClear(UnsafeRawBufferPointer(frame), headerSize: headerSize)
        frame.copyBytes(from: covered)
        guard isDecoded else { return false }

        join(leading.blocks, UnsafeRawBufferPointer(plane), elementSize, &hash, into: destination)
        let checksum = stored.loadUnaligned(fromByteOffset: checksumStart, as: UInt32.self)
        return UInt32(littleEndian: checksum) == UInt32(truncatingIfNeeded: hash.finish())
    }

    /// Finds and hashes the raw blocks of the leading planes; nil if these planes are stored in another way.
    ///
    /// `blocks` are the contents of the blocks, plane by plane; `end` is the offset after the last of them.
    private static func rawBlocks(
        _ stored: UnsafeMutableRawBufferPointer, from start: Int, _ planeSize: Int, _ planeCount: Int,
        _ hash: inout XXH64
    ) -> (blocks: [[UnsafePointer<UInt8>]], end: Int)? {
        var end = start
        var blocks: [[UnsafePointer<UInt8>]] = []
        for _ in 0..<planeCount {
            var plane: [UnsafePointer<UInt8>] = []
            for first in stride(from: 0, to: planeSize, by: blockSize) {
                let count = min(blockSize, planeSize - first)
                guard end + blockHeaderSize + count <= stored.count - checksumSize else { return nil }
                // The block's size, type 0 (raw), and 0 because it is not the last block.
                let header = (0..<blockHeaderSize).reduce(0) { $0 | Int(stored[end + $1]) << (8 * $1) }
                guard header == count << 3 else { return nil }
                let bytes = UnsafeRawBufferPointer(
                    rebasing: stored[end + blockHeaderSize..<end + blockHeaderSize + count])
                hash.update(bytes)
                // A block is never empty.
                // swift-format-ignore: NeverForceUnwrap
                plane.append(bytes.assumingMemoryBound(to: UInt8.self).baseAddress!)
                end += blockHeaderSize + count
            }
            blocks.append(plane)
        }
        // The caller overwrites `headerSize` bytes before `end`.
        return end >= headerSize ? (blocks, end) : nil
    }

    /// Joins the planes block by block, and hashes the last plane while it is in cache.
    private static func join(
        _ leading: [[UnsafePointer<UInt8>]], _ lastPlane: UnsafeRawBufferPointer, _ elementSize: Int,
        _ hash: inout XXH64, into destination: UnsafeMutableRawBufferPointer
    ) {
        for (number, first) in stride(from: 0, to: lastPlane.count, by: blockSize).enumerated() {
            let count = min(blockSize, lastPlane.count - first)
            let bytes = UnsafeRawBufferPointer(rebasing: lastPlane[first..<first + count])
            hash.update(bytes)
            // A block is never empty, and neither is the destination.
            // swift-format-ignore: NeverForceUnwrap
            let last = bytes.assumingMemoryBound(to: UInt8.self).baseAddress!
            // swift-format-ignore: NeverForceUnwrap
            let output = destination.baseAddress! + first * elementSize
            if elementSize == 2 {
                ByteShuffle.join16(leading[0][number], last, output, count)
            } else {
                ByteShuffle.join32((leading[0][number], leading[1][number], leading[2][number], last), output, count)
            }
        }
    }
}
