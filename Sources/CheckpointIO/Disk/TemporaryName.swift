import Glibc

/// The name of a temporary file or folder, which tells what process made it: `.ckpt-PID-START-HOST-RANDOM.partial`.
///
/// START is the time at which the process started, in clock ticks since the system started, or 0 if it is unknown.
/// HOST is a hash of the machine and of its namespace of process ids. Earlier versions wrote
/// `.ckpt-PID-RANDOM.partial`.
struct TemporaryName {
    static let prefix = ".ckpt-"
    private static let suffix = ".partial"

    private let process: pid_t
    /// nil if the name does not tell it.
    private let start: UInt64?
    private let host: String?

    /// A new name of this process.
    static func make() -> String {
        let random = hexadecimal(UInt64.random(in: 0...UInt64.max), digits: 16)
        return "\(prefix)\(getpid())-\(ownStart)-\(ownHost)-\(random)\(suffix)"
    }

    /// Parses a name; nil unless it has exactly one of the two forms.
    init?(_ name: String) {
        guard name.hasPrefix(Self.prefix), name.hasSuffix(Self.suffix) else { return nil }
        let parts = name.dropFirst(Self.prefix.count).dropLast(Self.suffix.count)
            .split(separator: "-", omittingEmptySubsequences: false)
        guard let process = pid_t(parts[0]), process > 0, String(process) == parts[0], let random = parts.last,
            Self.isHexadecimal(random)
        else { return nil }
        self.process = process
        switch parts.count {
        case 2 where random.utf8.count <= 16: (start, host) = (nil, nil)
        case 4 where random.utf8.count == 16 && parts[2].utf8.count == 8 && Self.isHexadecimal(parts[2]):
            guard let start = UInt64(parts[1]), String(start) == parts[1] else { return nil }
            self.start = start == 0 ? nil : start
            host = String(parts[2])
        default: return nil
        }
    }

    /// Whether the process that made the name is known to have ended.
    ///
    /// A process of another machine or container, which shares the folder, counts as running.
    var isAbandoned: Bool {
        guard host == nil || host == Self.ownHost else { return false }
        // Fails with EPERM for a process of another user.
        guard kill(process, 0) == 0 || errno != ESRCH else { return true }
        guard let entry = ProcessEntry(process) else { return false }
        return entry.hasEnded || (start != nil && start != entry.start)
    }

    private static let ownStart = ProcessEntry(getpid())?.start ?? 0

    private static let ownHost: String = {
        var (name, namespace) = ([CChar](repeating: 0, count: 256), [CChar](repeating: 0, count: 64))
        gethostname(&name, name.count)
        _ = readlink("/proc/self/ns/pid", &namespace, namespace.count)
        var hash = XXH64()
        for part in [name, namespace] { part.withUnsafeBytes { hash.update($0) } }
        smallFile("/etc/machine-id").withUnsafeBytes { hash.update($0) }
        return hexadecimal(hash.finish() >> 32, digits: 8)
    }()

    private static func hexadecimal(_ value: UInt64, digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: digits - text.count) + text
    }

    private static func isHexadecimal(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }
}

/// What `/proc/PID/stat` says about a process; see proc(5).
private struct ProcessEntry {
    /// The time at which it started, in clock ticks since the system started.
    let start: UInt64
    /// Whether it has ended and only its parent has not asked for its status yet.
    let hasEnded: Bool

    /// Returns nil if there is no such process, or if `/proc` does not show it.
    init?(_ process: pid_t) {
        let text = String(decoding: smallFile("/proc/\(process)/stat"), as: UTF8.self)
        // The second field is the name of the program, which may contain spaces and parentheses.
        guard let name = text.lastIndex(of: ")") else { return nil }
        let fields = text[name...].dropFirst().split(separator: " ")
        guard fields.count > 19, let start = UInt64(fields[19]) else { return nil }
        self.start = start
        hasEnded = ["Z", "X"].contains(fields[0])
    }
}

/// The first 4 KiB of a file; empty if it cannot be read.
private func smallFile(_ path: String) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(descriptor, &bytes, bytes.count)
    return Array(bytes.prefix(max(0, count)))
}
