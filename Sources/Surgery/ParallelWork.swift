import Dispatch
import Synchronization

/// Runs `body` for every index on all cores and rethrows the first error.
func forEachConcurrently(_ count: Int, _ body: @Sendable (Int) throws -> Void) throws {
    guard count > 0 else { return }
    let failure = Mutex<(any Error)?>(nil)
    DispatchQueue.concurrentPerform(iterations: count) { index in
        if failure.withLock({ $0 != nil }) { return }
        do {
            try body(index)
        } catch {
            failure.withLock { if $0 == nil { $0 = error } }
        }
    }
    if let error = failure.withLock({ $0 }) { throw error }
}
