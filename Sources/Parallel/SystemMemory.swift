import Foundation
import Synchronization

/// The memory that this process may still use, by the system, its control groups and its own limits.
package enum SystemMemory {
    /// Available memory in bytes: the least of what the system has free, what the limits of the process's control group
    /// and of its ancestors leave (both divided among the processes of `share`), and what `ulimit -v` and `ulimit -d`
    /// leave.
    ///
    /// nil if nothing tells. `root` stands for `/` in the paths that are read.
    package static func available(root: String = "") -> Int? {
        let shared = [free(root: root), controlGroups(root: root)].map { bytes in
            bytes.map { $0 / processes.load(ordering: .relaxed) }
        }
        return (shared + [addressSpace]).compactMap { $0 }.min()
    }

    /// The processes that share the machine's memory.
    private static let processes = Atomic<Int>(1)

    /// Counts only a share of the machine's memory as available, because other processes of this kind take theirs.
    package static func share(among count: Int) { processes.store(max(1, count), ordering: .relaxed) }

    /// Free or reclaimable memory and swap of the machine.
    private static func free(root: String) -> Int? {
        let text = text(root + "/proc/meminfo")
        let sum = ["MemAvailable:", "SwapFree:"].reduce(0) { $0 + 1024 * (field($1, of: text) ?? 0) }
        return sum > 0 ? sum : nil
    }

    /// What the limits of the control groups leave; both versions of control groups are read.
    static func controlGroups(root: String) -> Int? {
        var least: Int?
        for line in text(root + "/proc/self/cgroup").split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isSecond = parts[1].isEmpty
            guard isSecond || parts[1].split(separator: ",").contains("memory") else { continue }
            let (mount, limit, usage) =
                isSecond
                ? ("/sys/fs/cgroup", "memory.max", "memory.current")
                : ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
            // In a container the path may be that of the host, whose folders are not there.
            var names = parts[2].split(separator: "/").filter { $0 != ".." }
            while true {
                let folder = root + mount + names.map { "/" + $0 }.joined() + "/"
                if let limit = number(text(folder + limit)) {
                    // File pages are reclaimed before the limit is reached.
                    let statistics = text(folder + "memory.stat")
                    let files = ["inactive_file", "active_file"].reduce(0) { $0 + (field($1, of: statistics) ?? 0) }
                    let used = max(0, (number(text(folder + usage)) ?? 0) - files)
                    least = min(least ?? .max, max(0, limit - used))
                }
                guard names.popLast() != nil else { break }
            }
        }
        return least
    }

    /// Address space in bytes that `ulimit -v` and `ulimit -d` leave; nil without such limits.
    package static var addressSpace: Int? {
        let pages = text("/proc/self/statm").split(separator: " ").map { number($0) ?? 0 }
        let page = sysconf(Int32(_SC_PAGESIZE))
        // proc(5): the first field is the whole address space, the sixth data and stack.
        return [(RLIMIT_AS, 0), (RLIMIT_DATA, 5)].compactMap { resource, index in
            var limit = rlimit()
            guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0, limit.rlim_cur < rlim_t(Int.max),
                pages.indices.contains(index)
            else { return nil }
            return max(0, Int(limit.rlim_cur) - pages[index] * page)
        }.min()
    }

    /// Checks that the limits of the process leave so much address space.
    ///
    /// - Throws: `MemoryLimitError`.
    package static func checkAddressSpace(for byteCount: Int, purpose: String) throws {
        guard let free = addressSpace, free < byteCount else { return }
        throw MemoryLimitError(purpose: purpose, needed: byteCount, free: free)
    }

    /// The number after a name at the start of a line.
    private static func field(_ name: String, of text: String) -> Int? {
        let line = text.split(separator: "\n").first { $0.hasPrefix(name) && $0.dropFirst(name.count).first == " " }
        return line.flatMap { $0.dropFirst(name.count).split(separator: " ").first.flatMap(number) }
    }

    private static func number(_ text: some StringProtocol) -> Int? {
        Int(text.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// The content of a small file; empty if it cannot be read.
    private static func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
}

/// The limits of the process leave less address space than something needs.
package struct MemoryLimitError: Error, Equatable, CustomStringConvertible {
    let purpose: String
    let needed: Int
    let free: Int

    package var description: String {
        "\(purpose): about \(needed >> 20) MiB of address space are needed, and the limits of this process leave "
            + "\(free >> 20) MiB; raise them (ulimit -v, ulimit -d)"
    }
}
