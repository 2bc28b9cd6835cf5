import Glibc

/// State that threads change and wait for.
final class Monitor<State>: @unchecked Sendable {
    // Sendable because the state is touched under the mutex only, and mutex and condition stay in place.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state: State

    init(_ state: sending State) {
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

    /// Changes the state and wakes all who wait.
    func update<Result>(_ change: (inout State) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        return try change(&state)
    }

    /// Waits until `condition` gives a value.
    func wait<Result>(until condition: (State) -> Result?) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = condition(state) { return result }
            pthread_cond_wait(changed, mutex)
        }
    }
}
