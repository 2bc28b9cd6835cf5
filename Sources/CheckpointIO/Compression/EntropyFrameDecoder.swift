/// Decodes the frames that `EntropyFrame` makes of weights, whose leading byte planes are stored as they are: they go from
/// the file's bytes straight to their place, and only the last plane through zstd.
enum EntropyFrameDecoder {
    private static let blockSize = 128 << 10
    private static let blockHeaderSize = 3
    private static let checksumSize = 4
    /// Magic number; single segment, content size in four bytes, no checksum.
    private static let header: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0b1010_0000]
    private static let headerSize = header.count + 4

    /// Decodes a frame to elements.
    ///
    /// - Parameters:
    ///   - stored: the frame; parts of it are overwritten while this runs.
    ///   - lastPlane: room for the last plane.
    /// - Returns: whether the frame is of this kind, and all is right: each byte has its place, and the checksum holds. Where
    ///   not, nothing is known about the frame, and what is in `destination` has no meaning.
    static func decode(
        _ stored: UnsafeMutableRawBufferPointer, elementSize: Int, lastPlane: ScratchBuffer,
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

        // The blocks of the last plane, made a frame by a header in the place of bytes that are put back afterwards.
        let checksumStart = stored.count - checksumSize
        let frame = UnsafeMutableRawBufferPointer(rebasing: stored[leading.end - headerSize..<checksumStart])
        let covered = Array(frame[..<headerSize])
        frame.copyBytes(from: header)
        frame.storeBytes(of: UInt32(planeSize).littleEndian, toByteOffset: header.count, as: UInt32.self)
        let plane = lastPlane.resized(to: planeSize)
        let isDecoded = decompressor.fill(plane, from: UnsafeRawBufferPointer(frame))
        frame.copyBytes(from: covered)
        guard isDecoded else { return false }

        join(leading.blocks, UnsafeRawBufferPointer(plane), elementSize, &hash, into: destination)
        let checksum = stored.loadUnaligned(fromByteOffset: checksumStart, as: UInt32.self)
        return UInt32(littleEndian: checksum) == UInt32(truncatingIfNeeded: hash.finish())
    }

    /// Where the bytes of the leading planes are, plane by plane, each cut into blocks of the largest size; hashes them.
    /// - Returns: nil where they are stored in another way. `end` is behind the last of these blocks.
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
                // Size, type 0 for bytes as they are, 0 for not the last.
                let header = (0..<blockHeaderSize).reduce(0) { $0 | Int(stored[end + $1]) << (8 * $1) }
                guard header == count << 3 else { return nil }
                let bytes = UnsafeRawBufferPointer(
                    rebasing: stored[end + blockHeaderSize..<end + blockHeaderSize + count])
                hash.update(bytes)
                plane.append(bytes.assumingMemoryBound(to: UInt8.self).baseAddress!)
                end += blockHeaderSize + count
            }
            blocks.append(plane)
        }
        // So much is overwritten.
        return end >= headerSize ? (blocks, end) : nil
    }

    /// Puts the planes together, a block at a time while it is in cache, and hashes the last plane.
    private static func join(
        _ leading: [[UnsafePointer<UInt8>]], _ lastPlane: UnsafeRawBufferPointer, _ elementSize: Int,
        _ hash: inout XXH64, into destination: UnsafeMutableRawBufferPointer
    ) {
        for (number, first) in stride(from: 0, to: lastPlane.count, by: blockSize).enumerated() {
            let count = min(blockSize, lastPlane.count - first)
            let bytes = UnsafeRawBufferPointer(rebasing: lastPlane[first..<first + count])
            hash.update(bytes)
            let last = bytes.assumingMemoryBound(to: UInt8.self).baseAddress!
            let output = destination.baseAddress! + first * elementSize
            if elementSize == 2 {
                ByteShuffle.join16(leading[0][number], last, output, count)
            } else {
                ByteShuffle.join32((leading[0][number], leading[1][number], leading[2][number], last), output, count)
            }
        }
    }
}
