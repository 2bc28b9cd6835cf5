import Foundation
import Synchronization

/// Threads that wait for work: the caller's and `threadCount - 1` of the pool.
package final class WorkerPool: @unchecked Sendable {
    // Sendable because one caller at a time holds the pool (`callers`), and workers read what the caller set only after
    // `generation` has risen.

    /// Number of threads of the shared pool, set before its first use; nil means one per processor.
    private static let requestedCount = Mutex<Int?>(nil)

    package static let shared = WorkerPool(threadCount: resolvedCount())

    /// The caller of `run` counts as one.
    package private(set) var threadCount = 1
    private let callers = NSLock()
    private let condition = NSCondition()
    private let generation = Atomic<Int>(0)
    private let nextItem = Atomic<Int>(0)
    private let busyWorkers = Atomic<Int>(0)
    // Written by the caller before `generation` rises, read by the workers after they saw it rise.
    private var itemCount = 0
    private var body: ((Int, Int) -> Void)?
    private var sleepers = 0

    /// Sets the number of threads of `shared`, if the pool has not been used yet.
    package static func configure(threadCount: Int) {
        requestedCount.withLock { $0 = max(1, min(threadCount, 256)) }
    }

    private static func resolvedCount() -> Int {
        requestedCount.withLock { $0 } ?? max(1, min(ProcessInfo.processInfo.activeProcessorCount, 256))
    }

    private init(threadCount: Int) {
        for worker in 1..<max(1, threadCount) {
            let name = "engine-\(worker)"
            let started: ()? = try? WorkerThread.startDetached(stackByteCount: 8 << 20, name: name) { [unowned self] in
                serve(worker)
            }
            // If the system refuses a thread, the pool is smaller: it works all the same.
            guard started != nil else { break }
            self.threadCount += 1
        }
    }

    /// Runs `body` for every item on all threads.
    ///
    /// If another caller holds the pool, the calling thread runs all items itself.
    package func run(_ count: Int, _ body: (Int, Int) -> Void) {
        guard callers.try() else {
            for item in 0..<count { body(item, 0) }
            return
        }
        defer { callers.unlock() }
        withoutActuallyEscaping(body) { body in
            self.body = body
            itemCount = count
            nextItem.store(0, ordering: .relaxed)
            busyWorkers.store(threadCount - 1, ordering: .relaxed)
            generation.add(1, ordering: .sequentiallyConsistent)
            condition.lock()
            let someoneSleeps = sleepers > 0
            condition.unlock()
            if someoneSleeps { condition.broadcast() }
            work(0, body, count)
            var spins = 0
            while busyWorkers.load(ordering: .acquiring) > 0 {
                spins += 1
                if spins > 4000 { sched_yield() }
            }
            self.body = nil
        }
    }

    @inline(__always)
    private func work(_ worker: Int, _ body: (Int, Int) -> Void, _ count: Int) {
        while true {
            let item = nextItem.add(1, ordering: .relaxed).oldValue
            if item >= count { return }
            body(item, worker)
        }
    }

    private func serve(_ worker: Int) {
        var seen = 0
        while true {
            var spins = 0
            // A training step of a small model hands out work every few microseconds: sleeping between costs more.
            while generation.load(ordering: .acquiring) == seen, spins < 20_000 {
                spins += 1
                if spins > 4000 { sched_yield() }
            }
            condition.lock()
            sleepers += 1
            while generation.load(ordering: .sequentiallyConsistent) == seen { condition.wait() }
            sleepers -= 1
            condition.unlock()
            seen += 1
            takePart(worker)
            busyWorkers.subtract(1, ordering: .releasing)
        }
    }

    /// Works on the items of the current `run`; being a function, it releases `body` before the worker reports.
    private func takePart(_ worker: Int) {
        if let body { work(worker, body, itemCount) }
    }
}
