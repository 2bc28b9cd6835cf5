import CSystem
import Glibc

/// Writes aligned blocks to a file, past the page cache where that works, on threads of its own.
///
/// Two writes are under way at a time, so that the disk need not wait for a thread to wake up. Two writes behind the end
/// of a file would wait for each other, so the file gets its blocks ahead.
final class BlockWriter: @unchecked Sendable {
    // Sendable because a block handed in belongs to the thread that writes it, the descriptors do not change while there
    // are such threads, and all else is in the monitor.

    /// Bytes of a block: a disk takes these at its full speed, and they still fit into a core's cache.
    private static let blockSize = 1 << 20
    /// What O_DIRECT asks of addresses in memory and in the file.
    static let alignment = 4096
    private static let threadCount = 2
    /// Bytes the file gets at a time before they are written.
    private static let reservation = 32 << 20

    private struct Job {
        var bytes: UnsafeMutableRawBufferPointer
        var address: Int

        var range: Range<Int> { address..<address + bytes.count }
    }

    private struct State {
        var free: [UnsafeMutableRawBufferPointer]
        /// Waiting, oldest first.
        var jobs: [Job] = []
        /// Being written.
        var current: [Range<Int>] = []
        var failure: (any Error)?
        var isFinished = false
        var isDirect: Bool
        /// The end of what the file has been given; nil where the file system gives nothing ahead.
        var reserved: Int? = 0
    }

    private let plain: PlainFile
    private var direct: Int32
    private let memory: UnsafeMutableRawBufferPointer
    private let state: Monitor<State>
    private var threads: [WorkerThread] = []

    /// - Parameter direct: a descriptor for direct writes that becomes the writer's, or a negative number.
    init(direct: Int32, plain: PlainFile) throws {
        self.direct = direct
        self.plain = plain
        let blockCount = 6
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.blockSize * blockCount, alignment: Self.alignment)
        self.memory = memory
        let blocks = (0..<blockCount).map { number in
            let start = number * Self.blockSize
            return UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + Self.blockSize])
        }
        state = Monitor(State(free: blocks, isDirect: direct >= 0))
        // The threads end before this object does: `finish` waits for them.
        do {
            for _ in 0..<Self.threadCount { threads.append(try WorkerThread { [unowned self] in writeAll() }) }
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
            // A file of one block gets what it needs by being written.
            if address > 0 { reserve(upTo: address + bytes.count, &state) }
            state.jobs.append(Job(bytes: bytes, address: address))
        }
    }

    /// Gives the file blocks ahead. Where there are none left, writing says so when it comes to that.
    private func reserve(upTo end: Int, _ state: inout State) {
        guard state.isDirect, let reserved = state.reserved, end > reserved else { return }
        let target = end + Self.reservation
        state.reserved = fallocate(direct, 0, off_t(reserved), off_t(target - reserved)) == 0 ? target : nil
    }

    /// Waits until no byte of the range is on its way.
    func settle(_ range: Range<Int>) throws {
        let failure: (any Error)? = state.wait { state in
            if let failure = state.failure { return .some(failure) }
            let isOnItsWay =
                state.jobs.contains { $0.range.overlaps(range) } || state.current.contains { $0.overlaps(range) }
            return isOnItsWay ? nil : .some(nil)
        }
        if let failure { throw failure }
    }

    /// Waits for all blocks. May be called again.
    /// - Throws: what the first block that failed met.
    func finish() throws {
        state.update { $0.isFinished = true }
        for thread in threads { thread.join() }
        threads = []
        if direct >= 0 { close(direct) }
        direct = -1
        if let failure = state.update({ $0.failure }) { throw failure }
    }

    private func writeAll() {
        while true {
            state.wait { $0.jobs.isEmpty && !$0.isFinished ? nil : () }
            let next: (job: Job, isDirect: Bool)? = state.update { state in
                guard !state.jobs.isEmpty else { return nil }
                let job = state.jobs.removeFirst()
                state.current.append(job.range)
                return (job, state.isDirect)
            }
            guard let (job, isDirect) = next else {
                // The other thread may have been faster.
                if state.wait(until: { .some($0.isFinished && $0.jobs.isEmpty) }) { return }
                continue
            }
            let result = Result { try write(UnsafeRawBufferPointer(job.bytes), at: job.address, isDirect) }
            state.update { state in
                if case .failure(let error) = result { state.failure = state.failure ?? error }
                state.current.removeAll { $0 == job.range }
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
