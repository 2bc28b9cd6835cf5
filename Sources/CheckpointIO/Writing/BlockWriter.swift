import Glibc

/// Writes aligned blocks to a file, in order and past the page cache where that works, on a thread of its own.
final class BlockWriter: @unchecked Sendable {
    // Sendable because the descriptors and the blocks handed in belong to the writing thread until it ends, and all
    // else is in the monitor.

    /// Bytes of a block: a disk takes these at its full speed, and they still fit into a core's cache.
    private static let blockSize = 1 << 20
    /// What O_DIRECT asks of addresses in memory and in the file.
    static let alignment = 4096

    private struct Job {
        var bytes: UnsafeMutableRawBufferPointer
        var address: Int

        var range: Range<Int> { address..<address + bytes.count }
    }

    private struct State {
        var free: [UnsafeMutableRawBufferPointer]
        var jobs: [Job] = []
        var failure: (any Error)?
        var isFinished = false
    }

    private let plain: PlainFile
    private var direct: Int32
    private let memory: UnsafeMutableRawBufferPointer
    private let state: Monitor<State>
    private var thread: WorkerThread?

    /// - Parameter direct: a descriptor for direct writes that becomes the writer's, or a negative number.
    init(direct: Int32, plain: PlainFile) throws {
        self.direct = direct
        self.plain = plain
        let blockCount = 4
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.blockSize * blockCount, alignment: Self.alignment)
        self.memory = memory
        let blocks = (0..<blockCount).map { number in
            let start = number * Self.blockSize
            return UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + Self.blockSize])
        }
        state = Monitor(State(free: blocks))
        // The thread ends before this object does: `finish` waits for it.
        thread = try WorkerThread { [unowned self] in writeAll() }
    }

    deinit { memory.deallocate() }

    /// A block to fill; waits for one.
    func take() -> UnsafeMutableRawBufferPointer {
        state.wait(until: { $0.free.isEmpty ? nil : () })
        return state.update { $0.free.removeLast() }
    }

    /// Has the beginning of a taken block written; the block is free again when that is done.
    /// - Throws: what an earlier block met.
    func submit(_ bytes: UnsafeMutableRawBufferPointer, at address: Int) throws {
        try state.update { state in
            if let failure = state.failure { throw failure }
            state.jobs.append(Job(bytes: bytes, address: address))
        }
    }

    /// Waits until no byte of the range is on its way.
    func settle(_ range: Range<Int>) throws {
        let failure: (any Error)? = state.wait { state in
            if let failure = state.failure { return .some(failure) }
            return state.jobs.contains { $0.range.overlaps(range) } ? nil : .some(nil)
        }
        if let failure { throw failure }
    }

    /// Waits for all blocks. May be called again.
    /// - Throws: what the first block that failed met.
    func finish() throws {
        state.update { $0.isFinished = true }
        thread?.join()
        thread = nil
        closeDirect()
        if let failure = state.update({ $0.failure }) { throw failure }
    }

    private func writeAll() {
        while true {
            let job: Job? = state.wait { state in
                if let job = state.jobs.first { return .some(job) }
                return state.isFinished ? .some(nil) : nil
            }
            guard let job else { return }
            let result = Result { try write(UnsafeRawBufferPointer(job.bytes), at: job.address) }
            state.update { state in
                if case .failure(let error) = result { state.failure = state.failure ?? error }
                state.jobs.removeFirst()
                let whole = UnsafeMutableRawBufferPointer(start: job.bytes.baseAddress, count: Self.blockSize)
                state.free.append(whole)
            }
        }
    }

    private func write(_ bytes: UnsafeRawBufferPointer, at address: Int) throws {
        var done = 0
        while done < bytes.count, direct >= 0 {
            let count = pwrite(direct, bytes.baseAddress! + done, bytes.count - done, off_t(address + done))
            if count < 0, errno == EINTR { continue }
            if count < 0, errno != EINVAL { throw plain.failure("write the file", errno) }
            // The file system opens files for direct writes but does not take this one; leave them.
            if count < 0 { closeDirect() }
            done += max(0, count)
            // After a short write the rest is not aligned.
            if done % Self.alignment != 0 { break }
        }
        try plain.write(UnsafeRawBufferPointer(rebasing: bytes[done...]), at: address + done)
    }

    private func closeDirect() {
        if direct >= 0 { close(direct) }
        direct = -1
    }
}
