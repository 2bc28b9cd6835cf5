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

/// Runs two pieces of work at the same time. Where both fail, the first one's error is thrown.
func bothConcurrently<First: Sendable, Second: Sendable>(
    _ first: @Sendable () throws -> First, _ second: @Sendable () throws -> Second
) throws -> (First, Second) {
    let results = Mutex<(Result<First, any Error>?, Result<Second, any Error>?)>((nil, nil))
    DispatchQueue.concurrentPerform(iterations: 2) { index in
        if index == 0 {
            let result = Result { try first() }
            results.withLock { $0.0 = result }
        } else {
            let result = Result { try second() }
            results.withLock { $0.1 = result }
        }
    }
    let (firstResult, secondResult) = results.withLock { $0 }
    return (try firstResult!.get(), try secondResult!.get())
}
