import CZstd

/// Frames whose leading byte planes are stored as they are.
///
/// The low bytes of trained weights are close to random; zstd finds that out block by block, at a third of the cost of
/// the whole chunk. Here a sample tells, and only the last plane, that of the exponents, goes through zstd. The result
/// is an ordinary frame (RFC 8878, section 3.1.1): raw blocks change nothing in a decoder's state, so the blocks of the
/// last plane may follow them as zstd made them.
extension ZstdCompressor {
    /// The most a block may hold.
    private static let blockSize = 128 << 10

    /// Whether all planes but the last look random, in every block.
    static func leadingPlanesAreRandom(_ source: UnsafeRawBufferPointer, planeCount: Int) -> Bool {
        let leading = source.count / planeCount * (planeCount - 1)
        guard planeCount > 1, leading >= blockSize, source.count <= Int(UInt32.max) else { return false }
        return stride(from: 0, to: leading, by: blockSize).allSatisfy { start in
            isRandom(UnsafeRawBufferPointer(rebasing: source[start..<min(start + blockSize, leading)]))
        }
    }

    /// How often two bytes of a sample are equal, beside what chance gives: up to 15 % more means that at most
    /// 1.5 % could be saved, less than zstd bothers with. The sample's places are far apart, since neighbours often
    /// share a scale.
    private static func isRandom(_ block: UnsafeRawBufferPointer) -> Bool {
        guard block.count >= 1024 else { return false }
        let stride = max(1, block.count / 4096) | 1
        var total = 0
        let equalPairs = withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 256) { counts in
            counts.initialize(repeating: 0)
            var position = 0
            while position < block.count {
                counts[Int(block[position])] &+= 1
                position &+= stride
                total &+= 1
            }
            return counts.reduce(0) { $0 + Int($1) * (Int($1) - 1) }
        }
        return Double(equalPairs) * 256 < 1.15 * Double(total) * Double(total - 1)
    }

    /// One frame with content size and checksum: all planes but the last in raw blocks, then the last compressed.
    func compressLastPlane(
        _ source: UnsafeRawBufferPointer, planeCount: Int, into destination: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        let leading = source.count / planeCount * (planeCount - 1)
        // Magic number; single segment, content size in four bytes, checksum; the content size.
        destination.storeBytes(of: UInt32(0xFD2F_B528).littleEndian, toByteOffset: 0, as: UInt32.self)
        destination[4] = 0b1010_0100
        destination.storeBytes(of: UInt32(source.count).littleEndian, toByteOffset: 5, as: UInt32.self)
        var end = 9
        for start in stride(from: 0, to: leading, by: Self.blockSize) {
            let block = UnsafeRawBufferPointer(rebasing: source[start..<min(start + Self.blockSize, leading)])
            let header = UInt32(block.count) << 3
            for byte in 0..<3 { destination[end + byte] = UInt8(truncatingIfNeeded: header >> (8 * UInt32(byte))) }
            (destination.baseAddress! + end + 3).copyMemory(from: block.baseAddress!, byteCount: block.count)
            end += 3 + block.count
        }
        let plane = UnsafeRawBufferPointer(rebasing: source[leading...])
        let target = UnsafeMutableRawBufferPointer(rebasing: destination[end...])
        let frameSize = try compressPlane(plane, into: target)
        var header = ZSTD_frameHeader()
        guard ZSTD_getFrameHeader(&header, target.baseAddress, frameSize) == 0 else {
            throw ZstdProblem("zstd: a frame it made has no header")
        }
        let headerSize = Int(header.headerSize)
        let blocks = frameSize - headerSize
        target.baseAddress!.copyMemory(from: target.baseAddress! + headerSize, byteCount: blocks)
        end += blocks
        let checksum = UInt32(truncatingIfNeeded: XXH64.hash(source))
        destination.storeBytes(of: checksum.littleEndian, toByteOffset: end, as: UInt32.self)
        return end + 4
    }
}
