/// Makes zstd frames of numbers that do not repeat, such as trained weights: the bytes of the elements in planes, as
/// HDF5's shuffle filter sorts them, each plane in blocks of its own, and in the blocks nothing but Huffman's coding.
///
/// They are ordinary frames (RFC 8878, section 3.1.1) with content size and checksum. The low bytes of trained weights
/// are close to random: where a sample says so, a block is stored as it is, and no time is lost on finding a code for it.
/// One thread at a time.
package final class EntropyFrame {
    private let blocks = HuffmanBlocks()
    private let planes = ScratchBuffer()

    private static let headerSize = 9
    private static let checksumSize = 4
    private static let blockSize = HuffmanBlocks.blockSize

    package init() {}

    /// Bytes an output buffer must have for a chunk of `byteCount` bytes.
    package static func outputBound(_ byteCount: Int, elementSize: Int) -> Int {
        headerSize + byteCount + HuffmanBlocks.headerSize * (byteCount / blockSize + elementSize) + checksumSize
    }

    /// Compresses a chunk to exactly one frame and returns the bytes of the frame.
    ///
    /// - Parameters:
    ///   - chunk: whole elements of `elementSize` bytes, at least one, less than 4 GiB.
    ///   - destination: at least `outputBound` bytes.
    package func compress(
        _ chunk: UnsafeRawBufferPointer, elementSize: Int, into destination: UnsafeMutableRawBufferPointer
    ) -> Int {
        // Magic number; single segment, content size in four bytes, checksum; the content size.
        destination.storeBytes(of: UInt32(0xFD2F_B528).littleEndian, toByteOffset: 0, as: UInt32.self)
        destination[4] = 0b1010_0100
        destination.storeBytes(of: UInt32(chunk.count).littleEndian, toByteOffset: 5, as: UInt32.self)
        blocks.startFrame()
        var frame = Frame(target: destination.assumingMemoryBound(to: UInt8.self).baseAddress!, end: Self.headerSize)
        let planeSize = chunk.count / elementSize
        let starts = stride(from: 0, to: planeSize, by: Self.blockSize)
        let isRandom = (0..<elementSize - 1).map { plane in
            starts.map { start in
                let count = min(Self.blockSize, planeSize - start)
                return Self.isRandom(chunk.baseAddress! + start * elementSize + plane, stride: elementSize, count)
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

    /// A frame as far as it is written.
    private struct Frame {
        let target: UnsafeMutablePointer<UInt8>
        var end: Int
        /// Of the content so far.
        var hash = XXH64()
    }

    /// How often two bytes of a sample are equal, beside what chance gives: up to 15 % more means that at most
    /// 1.5 % could be saved, less than a block is coded for. The sample's places are far apart, since neighbours often
    /// share a scale.
    private static func isRandom(_ bytes: UnsafeRawPointer, stride: Int, _ count: Int) -> Bool {
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

    /// Sorts the elements' bytes, all but the last of each straight into blocks that hold them as they are.
    /// - Returns: the last plane.
    private func storeLeadingPlanes(
        of chunk: UnsafeRawBufferPointer, _ elementSize: Int, _ frame: inout Frame
    ) -> UnsafeRawBufferPointer {
        let planeSize = chunk.count / elementSize
        let starts = stride(from: 0, to: planeSize, by: Self.blockSize)
        let storedSize = planeSize + HuffmanBlocks.headerSize * ((planeSize + Self.blockSize - 1) / Self.blockSize)
        let lastPlane = planes.resized(to: planeSize)
        let last = lastPlane.assumingMemoryBound(to: UInt8.self).baseAddress!
        for (number, start) in starts.enumerated() {
            let count = min(Self.blockSize, planeSize - start)
            var block = frame.target + frame.end + start + HuffmanBlocks.headerSize * number
            for plane in 0..<elementSize - 1 {
                HuffmanBlocks.writeHeader(.raw, size: count, isLast: false, at: block + plane * storedSize)
            }
            block += HuffmanBlocks.headerSize
            let input = chunk.baseAddress! + start * elementSize
            if elementSize == 2 {
                ByteShuffle.split16(input, block, last + start, count)
            } else {
                ByteShuffle.split32(
                    input, (block, block + storedSize, block + 2 * storedSize, last + start), count)
            }
            // The first plane is hashed while it is in cache.
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

    /// Appends a plane.
    /// - Parameter isRandom: of each block; empty where that is not known.
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
