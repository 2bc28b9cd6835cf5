import COpenBLAS
import Foundation
import Synchronization
import WideVectors

/// How many threads the engine computes with. Set once, before the first model is used.
///
/// OpenBLAS itself always runs on the calling thread: operations are cut by the engine, which measured as fast as
/// OpenBLAS's own threads on large products and faster on small ones (docs/engine.md), and leaves one set of threads
/// for everything.
public enum EngineThreads {
    private static let requested = Mutex<Int?>(nil)

    /// Sets the number of threads; later calls than the first use of the engine have no effect.
    public static func configure(count: Int) {
        requested.withLock { $0 = max(1, min(count, 256)) }
    }

    /// The number of threads in use: what was configured, else one a processor.
    public static var count: Int { WorkerPool.shared.threadCount }

    /// The library that multiplies matrices, with its version and the kind of processor it found.
    public static var library: String {
        let words = String(cString: openblas_get_config()).split(separator: " ")
        let core = String(cString: openblas_get_corename())
        return words.prefix(2).joined(separator: " ") + " (\(core))"
    }

    /// The widest instructions that the engine's own kernels use on this processor.
    public static var vectors: String { String(cString: ckpt_vectors()) }

    fileprivate static func resolved() -> Int {
        requested.withLock { $0 } ?? max(1, min(ProcessInfo.processInfo.activeProcessorCount, 256))
    }
}

/// Those who carry out an operation's loops: one thread, or all of them.
///
/// How work is cut depends on the team's size alone, never on which thread was free, so results have the same bits
/// whenever the number of threads is the same.
package struct Team: Sendable {
    package let size: Int

    package init(size: Int) { self.size = size }

    /// The calling thread alone.
    package static let alone = Team(size: 1)

    /// Every thread of the engine.
    package static var everyone: Team { Team(size: WorkerPool.shared.threadCount) }

    /// Calls `body(item, worker)` for every item; items may run at the same time and in any order, so each must write
    /// to places of its own. `worker` is below `size` and owned by one thread at a time.
    @inline(__always)
    package func forEach(_ count: Int, _ body: (_ item: Int, _ worker: Int) -> Void) {
        if size == 1 || count <= 1 {
            for item in 0..<count { body(item, 0) }
        } else {
            WorkerPool.shared.run(count, body)
        }
    }

    /// Cuts `0..<count` into at most `size` ranges of at least `grain` and calls `body(range, part)` for each.
    @inline(__always)
    package func split(_ count: Int, grain: Int, _ body: (_ range: Range<Int>, _ part: Int) -> Void) {
        let parts = parts(of: count, grain: grain)
        if parts <= 1 {
            if count > 0 { body(0..<count, 0) }
            return
        }
        WorkerPool.shared.run(parts) { part, _ in
            body((count * part / parts)..<(count * (part + 1) / parts), part)
        }
    }

    /// Into how many ranges `split` cuts.
    package func parts(of count: Int, grain: Int) -> Int { min(size, max(1, count / max(1, grain))) }
}

/// Threads that wait for work: the caller's and `threadCount - 1` of their own.
/// Sendable because one caller at a time holds it (`callers`), and workers read what it set only after `generation` rose.
final class WorkerPool: @unchecked Sendable {
    static let shared = WorkerPool(threadCount: EngineThreads.resolved())

    let threadCount: Int
    private let callers = NSLock()
    private let condition = NSCondition()
    private let generation = Atomic<Int>(0)
    private let nextItem = Atomic<Int>(0)
    private let busyWorkers = Atomic<Int>(0)
    // Written by the caller before `generation` rises, read by the workers after they saw it rise.
    private var itemCount = 0
    private var body: ((Int, Int) -> Void)?
    private var sleepers = 0

    private init(threadCount: Int) {
        self.threadCount = threadCount
        openblas_set_num_threads(1)
        for worker in 1..<max(1, threadCount) {
            let thread = Thread { [unowned self] in serve(worker) }
            thread.stackSize = 8 << 20
            thread.name = "engine-\(worker)"
            thread.start()
        }
    }

    /// Runs `body` for every item on all threads. When another caller holds the threads, the work is done right here.
    func run(_ count: Int, _ body: (Int, Int) -> Void) {
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
            // A step of a small model hands out work every few microseconds; sleeping in between would cost more.
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
            if let body { work(worker, body, itemCount) }
            busyWorkers.subtract(1, ordering: .releasing)
        }
    }
}
