/// Compresses data without repetition, such as trained weights, to zstd frames that use Huffman coding only.
///
/// The elements are shuffled into byte planes, as by HDF5's shuffle filter, and blocks do not straddle planes. The
/// frames are ordinary (RFC 8878, section 3.1.1), with content size and checksum. The low bytes of trained weights are
/// close to random: if a sample shows this, the block is stored raw without computing a code. Not thread-safe.
package final class EntropyFrame {
    private let blocks = HuffmanBlocks()
    private let planes = ScratchBuffer()

    static let headerSize = 9
    static let checksumSize = 4
    private static let blockSize = HuffmanBlocks.blockSize

    package init() {}

    /// The size of the output buffer for a chunk of `byteCount` bytes.
    package static func outputBound(_ byteCount: Int, elementSize: Int) -> Int {
        headerSize + byteCount + HuffmanBlocks.headerSize * (byteCount / blockSize + elementSize) + checksumSize
    }

    /// Compresses a chunk to exactly one frame and returns the size of the frame.
    ///
    /// The chunk consists of one or more whole elements and has less than 4 GiB; `destination` has at least
    /// `outputBound` bytes.
    package func compress(
        _ chunk: UnsafeRawBufferPointer, elementSize: Int, into destination: UnsafeMutableRawBufferPointer
    ) -> Int {
        Self.writeHeader(contentSize: chunk.count, to: destination)
        blocks.startFrame()
        // Neither buffer is empty.
        // swift-format-ignore: NeverForceUnwrap
        let (input, output) = (chunk.baseAddress!, destination.assumingMemoryBound(to: UInt8.self).baseAddress!)
        var frame = Frame(target: output, end: Self.headerSize)
        let planeSize = chunk.count / elementSize
        let starts = stride(from: 0, to: planeSize, by: Self.blockSize)
        let isRandom = (0..<elementSize - 1).map { plane in
            starts.map { start in
                let count = min(Self.blockSize, planeSize - start)
                return Self.isRandom(input + start * elementSize + plane, stride: elementSize, count)
            }
        }
        if elementSize == 2 || elementSize == 4, isRandom.allSatisfy({ $0.allSatisfy { $0 } }) {
            let lastPlane = storeLeadingPlanes(of: chunk, elementSize, &frame)
            encodePlane(lastPlane, isRandom: [], isLast: true, &frame)
        } else {
            let shuffled = shuffled(chunk, elementSize)
            for plane in 0..<elementSize {
                let bytes = UnsafeRawBufferPointer(rebasing: shuffled[plane * planeSize..<(plane + 1) * planeSize])
                let isLast = plane == elementSize - 1
                encodePlane(bytes, isRandom: isLast ? [] : isRandom[plane], isLast: isLast, &frame)
            }
        }
        let checksum = UInt32(truncatingIfNeeded: frame.hash.finish())
        destination.storeBytes(of: checksum.littleEndian, toByteOffset: frame.end, as: UInt32.self)
        return frame.end + Self.checksumSize
    }

    /// Writes a frame's header of `headerSize` bytes.
    static func writeHeader(contentSize: Int, to destination: UnsafeMutableRawBufferPointer) {
        // Magic number; flags for single segment, content size of four bytes and checksum; the content size.
        destination.storeBytes(of: UInt32(0xFD2F_B528).littleEndian, toByteOffset: 0, as: UInt32.self)
        destination[4] = 0b1010_0100
        destination.storeBytes(of: UInt32(contentSize).littleEndian, toByteOffset: 5, as: UInt32.self)
    }

    /// A frame being written.
    private struct Frame {
        let target: UnsafeMutablePointer<UInt8>
        var end: Int
        /// Hash of the content so far.
        var hash = XXH64()
    }

    /// Whether a sample of the bytes is too close to random for coding to pay.
    ///
    /// The test counts pairs of equal bytes. If there are up to 15 % more than by chance, coding saves at most 1.5 %,
    /// less than the minimum for a coded block. The sampled positions are spread out because neighbours often have a
    /// common scale.
    static func isRandom(_ bytes: UnsafeRawPointer, stride: Int, _ count: Int) -> Bool {
        guard count >= 1024 else { return false }
        let step = max(1, count / 1536) | 1
        var total = 0
        let equalPairs = withUnsafeTemporaryAllocation(of: UInt32.self, capacity: HuffmanCode.symbolCount) { counts in
            counts.initialize(repeating: 0)
            var position = 0
            while position < count {
                counts[Int(bytes.load(fromByteOffset: position &* stride, as: UInt8.self))] &+= 1
                position &+= step
                total &+= 1
            }
            return counts.reduce(0) { $0 &+ Int($1) &* (Int($1) &- 1) }
        }
        return Double(equalPairs) * 256 < 1.15 * Double(total) * Double(total - 1)
    }

    /// Writes all planes but the last to raw blocks, and returns the last plane.
    private func storeLeadingPlanes(
        of chunk: UnsafeRawBufferPointer, _ elementSize: Int, _ frame: inout Frame
    ) -> UnsafeRawBufferPointer {
        let planeSize = chunk.count / elementSize
        let starts = stride(from: 0, to: planeSize, by: Self.blockSize)
        let storedSize = planeSize + HuffmanBlocks.headerSize * ((planeSize + Self.blockSize - 1) / Self.blockSize)
        let lastPlane = planes.resized(to: planeSize)
        // A chunk has at least one element, so neither the plane nor the chunk is empty.
        // swift-format-ignore: NeverForceUnwrap
        let (last, elements) = (lastPlane.assumingMemoryBound(to: UInt8.self).baseAddress!, chunk.baseAddress!)
        for (number, start) in starts.enumerated() {
            let count = min(Self.blockSize, planeSize - start)
            var block = frame.target + frame.end + start + HuffmanBlocks.headerSize * number
            for plane in 0..<elementSize - 1 {
                HuffmanBlocks.writeHeader(.raw, size: count, isLast: false, at: block + plane * storedSize)
            }
            block += HuffmanBlocks.headerSize
            let input = elements + start * elementSize
            if elementSize == 2 {
                ByteShuffle.split16(input, block, last + start, count)
            } else {
                ByteShuffle.split32(
                    input, (block, block + storedSize, block + 2 * storedSize, last + start), count)
            }
            // Hash the first plane while it is in cache.
            frame.hash.update(UnsafeRawBufferPointer(start: block, count: count))
        }
        for plane in 1..<elementSize - 1 {
            for (number, start) in starts.enumerated() {
                let block =
                    frame.target + frame.end + plane * storedSize + start + HuffmanBlocks.headerSize * (number + 1)
                let count = min(Self.blockSize, planeSize - start)
                frame.hash.update(UnsafeRawBufferPointer(start: block, count: count))
            }
        }
        frame.end += (elementSize - 1) * storedSize
        return UnsafeRawBufferPointer(lastPlane)
    }

    private func shuffled(_ chunk: UnsafeRawBufferPointer, _ elementSize: Int) -> UnsafeRawBufferPointer {
        guard elementSize > 1 else { return chunk }
        let planes = planes.resized(to: chunk.count)
        ByteShuffle.shuffle(chunk, elementSize: elementSize, into: planes)
        return UnsafeRawBufferPointer(planes)
    }

    /// Appends a plane; `isRandom` tells which blocks to store raw, and is empty if that is unknown.
    private func encodePlane(
        _ plane: UnsafeRawBufferPointer, isRandom: [Bool], isLast: Bool, _ frame: inout Frame
    ) {
        for (number, start) in stride(from: 0, to: plane.count, by: Self.blockSize).enumerated() {
            let end = min(start + Self.blockSize, plane.count)
            let block = UnsafeRawBufferPointer(rebasing: plane[start..<end])
            let target = frame.target + frame.end
            let isLast = isLast && end == plane.count
            frame.hash.update(block)
            if !isRandom.isEmpty, isRandom[number] {
                frame.end += HuffmanBlocks.store(block, isLast: isLast, at: target)
            } else {
                frame.end += blocks.encode(block, isLast: isLast, isFollowed: end < plane.count, at: target)
            }
        }
    }
}
