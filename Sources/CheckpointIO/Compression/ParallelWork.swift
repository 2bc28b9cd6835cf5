import Glibc
import Synchronization

/// Runs work on all cores with threads of its own: compressing, and waiting for a disk, must not starve a shared pool.
enum ParallelWork {
    /// Cores that are online.
    static let coreCount = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

    /// Calls `body` with 0..<`count`, each once, in ascending order of start, on up to `threadCount` threads.
    /// After an error no further index is started; the first error is thrown when all have stopped.
    static func forEach(
        _ count: Int, threadCount: Int = coreCount, _ body: @escaping @Sendable (Int) throws -> Void
    ) throws {
        let threads = min(threadCount, count)
        if threads <= 1 {
            for index in 0..<count { try body(index) }
            return
        }
        let work = SharedWork(count: count, body: body)
        // The caller is one of the threads; where no further one can be had it does the work alone.
        let others = (1..<threads).compactMap { _ in try? WorkerThread { work.run() } }
        work.run()
        for thread in others { thread.join() }
        if let error = work.failure.withLock({ $0 }) { throw error }
    }
}

private final class SharedWork: Sendable {
    let count: Int
    let body: @Sendable (Int) throws -> Void
    let next = Atomic<Int>(0)
    let failure = Mutex<(any Error)?>(nil)

    init(count: Int, body: @escaping @Sendable (Int) throws -> Void) {
        self.count = count
        self.body = body
    }

    func run() {
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard index < count else { return }
            do {
                try body(index)
            } catch {
                failure.withLock { $0 = $0 ?? error }
                next.store(count, ordering: .relaxed)
                return
            }
        }
    }
}
