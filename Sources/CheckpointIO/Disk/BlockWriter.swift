import Glibc
import Parallel

/// Writes aligned blocks to a file on a background thread, bypassing the page cache if the file system supports it.
///
/// Blocks are written one at a time: a second write would spin on the file's lock.
final class BlockWriter: @unchecked Sendable {
    // Sendable because a submitted block belongs to the writing thread, the descriptors do not change while that thread
    // runs, and all other state is in the monitor.

    /// The size of a block, one huge page.
    private static let blockSize = 2 << 20
    /// Enough blocks to bridge short delays of the disk.
    private static let blockCount = 6
    /// The alignment of memory and file offsets that O_DIRECT requires.
    static let alignment = 4096

    private struct Job {
        var bytes: UnsafeMutableRawBufferPointer
        var address: Int
    }

    private struct State {
        var free: [UnsafeMutableRawBufferPointer]
        /// Blocks to be written, oldest first.
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

    /// Starts a writer that takes ownership of `direct`, a descriptor for direct writes or a negative number.
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

    /// Waits for a free block and returns it.
    func take() -> UnsafeMutableRawBufferPointer {
        state.wait(until: { $0.free.isEmpty ? nil : () })
        return state.update { $0.free.removeLast() }
    }

    /// Queues the beginning of a block for writing; the block is free again when it is written.
    ///
    /// - Throws: The error of an earlier block.
    func submit(_ bytes: UnsafeMutableRawBufferPointer, at address: Int) throws {
        try state.update { state in
            if let failure = state.failure { throw failure }
            state.jobs.append(Job(bytes: bytes, address: address))
        }
    }

    /// Waits until all blocks are written; may be called again.
    ///
    /// - Throws: The error of the first block that failed.
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
        guard let start = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count, isDirect {
            let count = pwrite(direct, start + done, bytes.count - done, off_t(address + done))
            if count < 0, errno == EINTR { continue }
            if count < 0, errno != EINVAL { throw plain.failure("write the file", errno) }
            // The file system opens files for direct writes but refuses the write: use the page cache from now on.
            if count < 0 { state.update { $0.isDirect = false } }
            done += max(0, count)
            // After a short write, the rest is not aligned.
            if count <= 0 || done % Self.alignment != 0 { break }
        }
        try plain.write(UnsafeRawBufferPointer(rebasing: bytes[done...]), at: address + done)
    }
}
