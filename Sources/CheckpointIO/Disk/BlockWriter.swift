import Glibc
import Parallel

/// Writes aligned blocks to a file, past the page cache where that works, on a thread of its own.
///
/// One write at a time: a second would wait for the file's lock, and burn a processor's time while it does.
final class BlockWriter: @unchecked Sendable {
    // Sendable because a block handed in belongs to the thread that writes it, the descriptors do not change while there
    // is such a thread, and all else is in the monitor.

    /// Bytes of a block, a huge page: in one piece, as a disk likes them best.
    private static let blockSize = 2 << 20
    /// Enough to go on while the disk takes its time.
    private static let blockCount = 6
    /// What O_DIRECT asks of addresses in memory and in the file.
    static let alignment = 4096

    private struct Job {
        var bytes: UnsafeMutableRawBufferPointer
        var address: Int
    }

    private struct State {
        var free: [UnsafeMutableRawBufferPointer]
        /// Waiting, oldest first.
        var jobs: [Job] = []
        var failure: (any Error)?
        var isFinished = false
        var isDirect: Bool
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
        let memory = LargeAllocation.allocate(byteCount: Self.blockSize * Self.blockCount)
        self.memory = memory
        let blocks = (0..<Self.blockCount).map { number in
            let start = number * Self.blockSize
            return UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + Self.blockSize])
        }
        state = Monitor(State(free: blocks, isDirect: direct >= 0))
        // The thread ends before this object does: `finish` waits for it.
        do {
            thread = try WorkerThread { [unowned self] in writeAll() }
        } catch {
            try? finish()
            throw error
        }
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

    /// Waits for all blocks. May be called again.
    /// - Throws: what the first block that failed met.
    func finish() throws {
        state.update { $0.isFinished = true }
        thread?.join()
        thread = nil
        if direct >= 0 { close(direct) }
        direct = -1
        if let failure = state.update({ $0.failure }) { throw failure }
    }

    private func writeAll() {
        while true {
            state.wait { $0.jobs.isEmpty && !$0.isFinished ? nil : () }
            let next: (job: Job, isDirect: Bool)? = state.update { state in
                guard !state.jobs.isEmpty else { return nil }
                return (state.jobs.removeFirst(), state.isDirect)
            }
            guard let (job, isDirect) = next else { return }
            let result = Result { try write(UnsafeRawBufferPointer(job.bytes), at: job.address, isDirect) }
            state.update { state in
                if case .failure(let error) = result { state.failure = state.failure ?? error }
                let whole = UnsafeMutableRawBufferPointer(start: job.bytes.baseAddress, count: Self.blockSize)
                state.free.append(whole)
            }
        }
    }

    private func write(_ bytes: UnsafeRawBufferPointer, at address: Int, _ isDirect: Bool) throws {
        var done = 0
        while done < bytes.count, isDirect {
            let count = pwrite(direct, bytes.baseAddress! + done, bytes.count - done, off_t(address + done))
            if count < 0, errno == EINTR { continue }
            if count < 0, errno != EINVAL { throw plain.failure("write the file", errno) }
            // The file system opens files for direct writes but does not take this one; leave them.
            if count < 0 { state.update { $0.isDirect = false } }
            done += max(0, count)
            // After a short write the rest is not aligned.
            if count <= 0 || done % Self.alignment != 0 { break }
        }
        try plain.write(UnsafeRawBufferPointer(rebasing: bytes[done...]), at: address + done)
    }
}
