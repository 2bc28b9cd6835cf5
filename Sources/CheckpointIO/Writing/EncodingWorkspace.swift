/// The buffers and the compressor of one thread, kept from tensor to tensor.
final class EncodingWorkspace: @unchecked Sendable {
    // Sendable because a workspace is lent to one thread at a time.
    let raw = ScratchBuffer()
    private let planes = ScratchBuffer()
    private let frame = ScratchBuffer()
    private var madeCompressor: ZstdCompressor?

    /// The compressor, made on first use.
    func compressor(for path: String) throws -> ZstdCompressor {
        if let madeCompressor { return madeCompressor }
        do {
            let compressor = try ZstdCompressor()
            madeCompressor = compressor
            return compressor
        } catch let problem as ZstdProblem {
            throw CheckpointError.invalid(name: path, problem: problem.description)
        }
    }

    /// Shuffles and compresses a chunk; the result is valid until the next call.
    func compress(
        _ chunk: UnsafeRawBufferPointer, elementSize: Int, _ compressor: ZstdCompressor, _ effort: ZstdEffort
    ) throws -> UnsafeRawBufferPointer {
        var source = chunk
        if elementSize > 1 {
            let planes = planes.resized(to: chunk.count)
            ByteShuffle.shuffle(chunk, elementSize: elementSize, into: planes)
            source = UnsafeRawBufferPointer(planes)
        }
        let target = frame.resized(to: ZstdCompressor.outputBound(chunk.count, planeCount: elementSize))
        do {
            let count = try compressor.compress(source, planeCount: elementSize, effort: effort, into: target)
            return UnsafeRawBufferPointer(rebasing: target[..<count])
        } catch let problem as ZstdProblem {
            throw CheckpointError.invalid(name: "compression", problem: problem.description)
        }
    }

    /// Decides by a sample from the middle of a tensor's first chunk whether looking for repetition pays.
    func chooseEffort(for chunk: UnsafeRawBufferPointer, elementSize: Int) throws -> ZstdEffort {
        let matching = ZstdEffort.level(elementSize == 1 ? 6 : 1)
        let length = min(chunk.count, 128 << 10) / elementSize * elementSize
        let start = (chunk.count - length) / 2 / elementSize * elementSize
        let sample = UnsafeRawBufferPointer(rebasing: chunk[start..<start + length])
        let compressor = try compressor(for: "compression")
        let plain = try compress(sample, elementSize: elementSize, compressor, .entropyOnly).count
        let matched = try compress(sample, elementSize: elementSize, compressor, matching).count
        // Matching costs twice the time, so it has to save a visible share.
        return Double(matched) < 0.95 * Double(plain) ? matching : .entropyOnly
    }
}

/// A page-aligned buffer that grows as needed and keeps no content when it does.
final class ScratchBuffer {
    private var storage = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    deinit { storage.deallocate() }

    /// The first `count` bytes, uninitialised.
    func resized(to count: Int) -> UnsafeMutableRawBufferPointer {
        if storage.count < count {
            storage.deallocate()
            storage = .allocate(byteCount: (count + 4095) / 4096 * 4096, alignment: 4096)
        }
        return UnsafeMutableRawBufferPointer(rebasing: storage[..<count])
    }
}
