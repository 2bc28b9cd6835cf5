import Glibc

/// State shared by threads that change it and wait for it to change.
package final class Monitor<State>: @unchecked Sendable {
    // Sendable because the state is accessed under the mutex only, and mutex and condition never move.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state: State

    package init(_ state: sending State) {
        self.state = state
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Changes the state and wakes every thread that waits.
    package func update<Result>(_ change: (inout State) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        return try change(&state)
    }

    /// Waits until `condition` returns a value, and returns that value.
    package func wait<Result>(until condition: (State) -> Result?) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = condition(state) { return result }
            pthread_cond_wait(changed, mutex)
        }
    }
}
