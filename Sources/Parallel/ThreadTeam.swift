/// The threads that carry out the loops of an operation: the calling thread alone, or all threads of the pool.
///
/// Work is cut by the size of the team alone, never by which thread happens to be free, so results have the same bits
/// whenever the number of threads is the same.
package struct ThreadTeam: Sendable {
    package let size: Int

    package init(size: Int) { self.size = size }

    /// The calling thread alone.
    package static let alone = ThreadTeam(size: 1)

    /// Every thread of the pool.
    package static var everyone: ThreadTeam { ThreadTeam(size: WorkerPool.shared.threadCount) }

    /// Calls `body(item, worker)` for every item.
    ///
    /// Items may run at the same time and in any order, so they must not write to the same memory. `worker` is below
    /// `size` and belongs to one thread at a time.
    @inline(__always)
    package func forEach(_ count: Int, _ body: (_ item: Int, _ worker: Int) -> Void) {
        if size == 1 || count <= 1 {
            for item in 0..<count { body(item, 0) }
        } else {
            WorkerPool.shared.run(count, body)
        }
    }

    /// Cuts `0..<count` into at most `size` ranges of at least `grain` items and calls `body(range, part)` for each.
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

    /// The number of ranges that `split` makes.
    package func parts(of count: Int, grain: Int) -> Int { min(size, max(1, count / max(1, grain))) }
}
