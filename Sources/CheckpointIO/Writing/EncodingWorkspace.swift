/// Buffers and compressors for one thread, reused from chunk to chunk.
final class EncodingWorkspace {
    /// Buffers for the bytes of two chunks.
    let raw = [ScratchBuffer(), ScratchBuffer()]
    private let planes = ScratchBuffer()
    private let sample = ScratchBuffer()
    private let entropyFrame = EntropyFrame()
    private var madeCompressor: ZstdCompressor?

    /// Shuffles and compresses a chunk to a frame in `target`.
    func compress(
        _ chunk: UnsafeRawBufferPointer, elementSize: Int, _ effort: ZstdEffort, into target: ScratchBuffer
    ) throws {
        guard case .level(let level) = effort else {
            let frame = target.resized(to: EntropyFrame.outputBound(chunk.count, elementSize: elementSize))
            return target.shrink(to: entropyFrame.compress(chunk, elementSize: elementSize, into: frame))
        }
        var source = chunk
        if elementSize > 1 {
            let planes = planes.resized(to: chunk.count)
            ByteShuffle.shuffle(chunk, elementSize: elementSize, into: planes)
            source = UnsafeRawBufferPointer(planes)
        }
        let frame = target.resized(to: ZstdCompressor.outputBound(chunk.count, planeCount: elementSize))
        do {
            let compressor = try compressor()
            target.shrink(to: try compressor.compress(source, planeCount: elementSize, level: level, into: frame))
        } catch let problem as ZstdProblem {
            throw CheckpointError.invalid(name: "compression", problem: problem.description)
        }
    }

    /// Decides by a sample from the middle of a tensor's first chunk whether searching for repetition pays.
    func chooseEffort(for chunk: UnsafeRawBufferPointer, elementSize: Int) throws -> ZstdEffort {
        let length = min(chunk.count, 16 << 10) / elementSize * elementSize
        let start = (chunk.count - length) / 2 / elementSize * elementSize
        let part = UnsafeRawBufferPointer(rebasing: chunk[start..<start + length])
        guard mayRepeat(part, elementSize: elementSize) else { return .entropyOnly }
        try compress(part, elementSize: elementSize, .entropyOnly, into: sample)
        let plain = sample.content.count
        try compress(part, elementSize: elementSize, .matching, into: sample)
        // Matching takes twice the time, so it must save a noticeable share.
        return Double(sample.content.count) < 0.95 * Double(plain) ? .matching : .entropyOnly
    }

    /// Whether more than 1/32 of the eight-byte words of the shuffled bytes are repetitions.
    ///
    /// Words of trained weights hardly ever repeat. A hash table shows this much faster than compressing them.
    private func mayRepeat(_ part: UnsafeRawBufferPointer, elementSize: Int) -> Bool {
        let planes = planes.resized(to: part.count)
        ByteShuffle.shuffle(part, elementSize: elementSize, into: planes)
        let wordCount = part.count / 8
        let tableBits: UInt64 = 13
        let repeated = withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 1 << Int(tableBits)) { table in
            table.initialize(repeating: 0)
            var repeated = 0
            for position in 0..<wordCount {
                let word = planes.load(fromByteOffset: 8 &* position, as: UInt64.self)
                let place = Int(truncatingIfNeeded: (word &* 0x9E37_79B9_7F4A_7C15) &>> (64 &- tableBits))
                repeated &+= table[place] == word ? 1 : 0
                table[place] = word
            }
            return repeated
        }
        return repeated * 32 > wordCount
    }

    private func compressor() throws -> ZstdCompressor {
        if let madeCompressor { return madeCompressor }
        let compressor = try ZstdCompressor()
        madeCompressor = compressor
        return compressor
    }
}
