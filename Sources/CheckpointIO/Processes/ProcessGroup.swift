import Foundation

/// A program that runs in a separate process group, with pipes to its standard streams.
///
/// All processes of the group end with this object and with this process, children of the shell included. The group's
/// leader is a guard, a shell that waits for the end of a pipe whose other end only this process holds, and then kills
/// the group. It works however this process ends, by SIGKILL too.
package final class ProcessGroup {
    /// Non-blocking ends of the pipes to stdin, from stdout and from stderr.
    package let input: Int32
    package let output: Int32
    package let errors: Int32
    private let guardPipe: Int32
    private let leader: pid_t
    private let program: pid_t
    /// The status that `waitpid` gave for the program.
    private var status: Int32?
    package private(set) var hasEnded = false
    /// The last bytes that the program wrote to stderr.
    private var errorTail: [UInt8] = []
    private static let tailByteCount = 1 << 12

    /// Starts a command with `/bin/sh`.
    ///
    /// - Throws: `POSIXError`.
    package convenience init(command: String) throws {
        try self.init(program: "/bin/sh", ["/bin/sh", "-c", command])
    }

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - path: the program's file.
    ///   - words: its name and arguments.
    ///   - descriptor: becomes descriptor 3 of the program.
    /// - Throws: `POSIXError`.
    package init(program path: String, _ words: [String], passing descriptor: Int32? = nil) throws {
        var opened: [Int32] = []
        func pipe() throws -> (read: Int32, write: Int32) {
            var ends: [Int32] = [-1, -1]
            guard Foundation.pipe(&ends) == 0 else { throw Self.posixError(errno) }
            opened += ends
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            return (ends[0], ends[1])
        }
        do {
            let (watch, requests, replies, messages) = (try pipe(), try pipe(), try pipe(), try pipe())
            let nowhere = open("/dev/null", O_RDWR | O_CLOEXEC)
            guard nowhere >= 0 else { throw Self.posixError(errno) }
            defer { close(nowhere) }
            leader = try Self.spawn(
                "/bin/sh", ["/bin/sh", "-c", "trap '' HUP INT TERM; read -r line; kill -KILL 0"], in: 0,
                streams: [watch.read, nowhere, nowhere])
            do {
                program = try Self.spawn(
                    path, words, in: leader,
                    streams: [requests.read, replies.write, messages.write] + (descriptor.map { [$0] } ?? []))
            } catch {
                kill(leader, SIGKILL)
                Foundation.waitpid(leader, nil, 0)
                throw error
            }
            guardPipe = watch.write
            input = requests.write
            output = replies.read
            errors = messages.read
            // The end of a pipe is noticed only if this process does not hold its other end.
            for end in [watch.read, requests.read, replies.write, messages.write] { close(end) }
            for end in [input, output, errors] { _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK) }
        } catch {
            for end in opened { close(end) }
            throw error
        }
    }

    deinit { end(patiently: true) }

    /// Ends all processes of the group.
    ///
    /// - Parameter patiently: gives the program half a second to exit by itself after the end of its input; otherwise
    ///   SIGTERM comes at once. SIGKILL follows half a second later.
    package func end(patiently: Bool) {
        guard !hasEnded else { return }
        hasEnded = true
        close(input)
        close(output)
        if patiently { _ = ending(within: 0.5) }
        kill(-leader, SIGTERM)
        _ = ending(within: 0.5)
        // The leader is not waited for yet, so the number of the group cannot belong to another one.
        kill(-leader, SIGKILL)
        if status == nil { collect(program, &status) }
        var ignored: Int32?
        collect(leader, &ignored)
        // Grandchildren die at their own time.
        for _ in 0..<50 where kill(-leader, 0) == 0 { usleep(10_000) }
        readErrors()
        close(errors)
        close(guardPipe)
    }

    /// How the program ended, as the verb of a sentence; nil if it still runs after this time in seconds.
    package func ending(within seconds: Double = 0) -> String? {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while status == nil {
            collect(program, &status, WNOHANG)
            guard status == nil else { break }
            guard .now < deadline else { return nil }
            usleep(10_000)
        }
        return status.map { status in
            status & 0x7F == 0 ? "exited with status \(status >> 8 & 0xFF)" : "was killed by signal \(status & 0x7F)"
        }
    }

    /// Reads what the program has written to stderr, and keeps the end.
    ///
    /// Returns false at the end of the stream.
    @discardableResult
    package func readErrors() -> Bool {
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(errors, &piece, piece.count)
        if count > 0 { errorTail = Array((errorTail + piece[..<count]).suffix(Self.tailByteCount)) }
        return count > 0 || (count < 0 && [EAGAIN, EINTR].contains(errno))
    }

    /// The end of what the program wrote to stderr, on one line.
    package var lastErrors: String {
        let text = String(decoding: errorTail, as: UTF8.self)
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
        let line = lines.filter { !$0.isEmpty }.joined(separator: "; ")
        return line.count > 200 ? "…" + line.suffix(200) : line
    }

    /// Waits for a process; a status that cannot be had counts as 0.
    private func collect(_ process: pid_t, _ status: inout Int32?, _ options: Int32 = 0) {
        var code: Int32 = 0
        var result = waitpid(process, &code, options)
        while result < 0, errno == EINTR { result = waitpid(process, &code, options) }
        if result != 0 { status = result < 0 ? 0 : code }
    }

    private static func posixError(_ code: Int32) -> POSIXError { POSIXError(POSIXErrorCode(rawValue: code) ?? .EIO) }

    /// Starts a program in a group; 0 makes a new one.
    ///
    /// - Parameters:
    ///   - path: the program's file.
    ///   - words: its name and arguments.
    ///   - group: the group of the process.
    ///   - streams: its descriptors from 0 on; it gets no others.
    ///   - additions: variables besides those of this process's environment.
    /// - Returns: the process, for which the caller must wait.
    /// - Throws: `POSIXError`.
    package static func spawn(
        _ path: String, _ words: [String], in group: pid_t, streams: [Int32],
        environment additions: [String: String] = [:]
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, stream) in streams.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, stream, Int32(number))
        }
        let opened = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for descriptor in opened.compactMap({ Int32($0) }) where descriptor >= streams.count {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setpgroup(&attributes, group)
        // The program starts with the usual signals, whatever this process ignores or blocks.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for signal in [SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGXFSZ] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        let environment: [UnsafeMutablePointer<CChar>?] =
            ProcessInfo.processInfo.environment.merging(additions) { $1 }.map { strdup("\($0.key)=\($0.value)") } + [
                nil
            ]
        defer { for text in arguments + environment { free(text) } }
        var process: pid_t = 0
        let failure = posix_spawn(&process, path, &actions, &attributes, arguments, environment)
        guard failure == 0 else { throw posixError(failure) }
        return process
    }
}
