import Foundation
import Parallel

/// The limits of the process (`ulimit`) that are too small for any command.
struct ProcessLimits: Error, CustomStringConvertible {
    let description: String

    /// Files that a command may have open at once: data, checkpoints, outputs, and pipes to a program.
    private static let fileCount = 32

    /// Checks address space, open files and threads.
    ///
    /// - Throws: `MemoryLimitError`, `ProcessLimits`.
    static func check() throws {
        try LargeAllocation.check(byteCount: 0, for: "the start of ckpt")
        try checkFiles()
        try checkThreads()
    }

    private static func checkFiles() throws {
        var limit = rlimit()
        let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(files, &limit) == 0, limit.rlim_cur < fileCount else { return }
        limit.rlim_cur = min(limit.rlim_max, rlim_t(fileCount))
        guard setrlimit(files, &limit) == 0, limit.rlim_cur >= fileCount else {
            throw ProcessLimits(
                description: "this process may have \(limit.rlim_cur) files open and ckpt needs \(fileCount); raise "
                    + "the limit (ulimit -n)")
        }
    }

    /// Starts as many threads as a command may need at once, with stacks of the usual size, and ends them.
    ///
    /// Dispatch tries again for ever if it cannot start one.
    private static func checkThreads() throws {
        let needed = 2 * ProcessInfo.processInfo.activeProcessorCount + 4
        let gate = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        defer { gate.deallocate() }
        pthread_mutex_init(gate, nil)
        pthread_mutex_lock(gate)
        var threads: [pthread_t] = []
        for _ in 0..<needed {
            var thread = pthread_t()
            let code = pthread_create(
                &thread, nil,
                { gate in
                    let gate = gate?.assumingMemoryBound(to: pthread_mutex_t.self)
                    if let gate, pthread_mutex_lock(gate) == 0 { pthread_mutex_unlock(gate) }
                    return nil
                }, gate)
            guard code == 0 else { break }
            threads.append(thread)
        }
        pthread_mutex_unlock(gate)
        for thread in threads { pthread_join(thread, nil) }
        pthread_mutex_destroy(gate)
        guard threads.count == needed else {
            throw ProcessLimits(
                description: "this process can start \(threads.count) threads and ckpt needs \(needed); raise the "
                    + "limits (ulimit -u, ulimit -v, or pids.max of the cgroup)")
        }
    }
}
