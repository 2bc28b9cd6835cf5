import Foundation
import Parallel

/// The limits of the process (`ulimit`) that are too small for any command.
struct ProcessLimits: Error, CustomStringConvertible {
    let description: String

    /// Files that a command may have open at once: data, checkpoints, outputs, and pipes to a program.
    private static let fileCount = 32

    /// Checks address space and open files.
    ///
    /// - Throws: `MemoryLimitError`, `ProcessLimits`.
    static func check() throws {
        try LargeAllocation.check(byteCount: 0, for: "the start of ckpt")
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
}
