import Glibc
import Synchronization

/// Runs work on all cores with its own threads: compressing data and waiting for a disk must not starve a shared pool.
package enum ParallelWork {
    /// Number of cores that are online.
    package static let coreCount = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

    /// Calls `body` once for each index in `0..<count`, started in ascending order, on up to `threadCount` threads.
    ///
    /// - Throws: the first error of `body`. No further index is started after an error; the calls that run are waited
    ///   for.
    package static func forEach(
        _ count: Int, threadCount: Int = coreCount, _ body: @Sendable (Int) throws -> Void
    ) throws {
        let threads = min(threadCount, count)
        if threads <= 1 {
            for index in 0..<count { try body(index) }
            return
        }
        try withoutActuallyEscaping(body) { body in
            let work = SharedWork(count: count, body: body)
            // The caller is one of the threads and does the work alone if no other thread can be started.
            let others = (1..<threads).compactMap { _ in try? WorkerThread { work.run() } }
            work.run()
            for thread in others { thread.join() }
            if let error = work.failure.withLock({ $0 }) { throw error }
        }
    }

    /// Runs two closures at the same time and returns both results.
    ///
    /// - Throws: the error of `first` if it fails, otherwise that of `second`.
    package static func both<First: Sendable, Second: Sendable>(
        _ first: @Sendable () throws -> First, _ second: @Sendable () throws -> Second
    ) throws -> (First, Second) {
        let results = Mutex<(first: First?, second: Second?)>((nil, nil))
        let secondFailure = Mutex<(any Error)?>(nil)
        try forEach(2, threadCount: 2) { index in
            if index == 0 {
                let result = try first()
                results.withLock { $0.first = result }
            } else {
                // Held back, so that an error of `first` comes before it.
                do {
                    let result = try second()
                    results.withLock { $0.second = result }
                } catch {
                    secondFailure.withLock { $0 = error }
                }
            }
        }
        if let error = secondFailure.withLock({ $0 }) { throw error }
        guard case (let first?, let second?) = results.withLock({ $0 }) else { throw CancellationError() }
        return (first, second)
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
