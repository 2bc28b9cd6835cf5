import Foundation
import Parallel
import TestSupport
import Testing

/// The limits of control groups, read from copies of `/proc` and `/sys`.
@Suite struct SystemMemoryTests {
    private let folder: TemporaryFolder
    private let gigabyte = 1 << 30

    init() throws {
        folder = try TemporaryFolder()
        try write("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    \(64 << 20) kB\nSwapFree:  \(1 << 20) kB\n")
    }

    private func write(_ path: String, _ text: String) throws {
        let url = folder.url.appending(path: path)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }

    private var available: Int? { SystemMemory.available(root: folder.url.path) }

    @Test func theMachineAlone() { #expect(available == 65 * gigabyte) }

    @Test func theLeastOfAllAncestors() throws {
        try write("proc/self/cgroup", "0::/a/b\n")
        try write("sys/fs/cgroup/a/b/memory.max", "max\n")
        try write("sys/fs/cgroup/a/memory.max", "\(8 * gigabyte)\n")
        #expect(available == 8 * gigabyte)
        // Pages of files are reclaimed before the limit is reached.
        try write("sys/fs/cgroup/a/memory.current", "\(5 * gigabyte)\n")
        try write("sys/fs/cgroup/a/memory.stat", "anon 9\ninactive_file \(gigabyte)\nactive_file \(2 * gigabyte)\n")
        #expect(available == 6 * gigabyte)
        try write("sys/fs/cgroup/memory.max", "\(gigabyte)\n")
        #expect(available == gigabyte)
        try write("sys/fs/cgroup/memory.current", "\(2 * gigabyte)\n")
        #expect(available == 0)
    }

    @Test func aPathOfTheHost() throws {
        try write("proc/self/cgroup", "0::/../../docker/x\n")
        try write("sys/fs/cgroup/memory.max", "\(gigabyte)\n")
        #expect(available == gigabyte)
    }

    @Test func theFirstVersion() throws {
        try write("proc/self/cgroup", "5:cpu:/c\n4:hugetlb,memory:/c\n")
        try write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
        try write("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "\(gigabyte)\n")
        #expect(available == gigabyte)
    }
}
