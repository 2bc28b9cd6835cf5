import Foundation

/// A program that lives as long as this object and answers a line with a line, over pipes.
///
/// Its stderr is that of this process. It ends by itself when its input does; one that does not is ended.
final class LineProgram: @unchecked Sendable {
    let command: String
    private let timeout: Double
    private let process = Process()
    private let input: Int32
    private let output: Int32
    private let lock = NSLock()
    /// Read beyond the last line that was asked for.
    private var buffer: [UInt8] = []
    /// An answer longer than this is none.
    private static let maximumLine = 1 << 30

    /// - Throws: `RewardError.program` where the shell cannot be started.
    init(command: String, timeout: Double) throws {
        self.command = command
        self.timeout = timeout
        let (requests, replies) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        // The shell gives way to a simple command; a list of commands keeps it.
        process.arguments = ["-c", command]
        process.standardInput = requests
        process.standardOutput = replies
        // Own copies outlive the pipe objects, whose other ends are closed here, so that an end is seen as one.
        input = dup(requests.fileHandleForWriting.fileDescriptor)
        output = dup(replies.fileHandleForReading.fileDescriptor)
        for descriptor in [input, output] {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        }
        // Writing to a program that has ended is an error to report, not the end of this process.
        signal(SIGPIPE, SIG_IGN)
        do {
            try process.run()
        } catch {
            close(input)
            close(output)
            throw RewardError.program(command, "cannot be started: \((error as NSError).localizedDescription)")
        }
        try? requests.fileHandleForWriting.close()
        try? replies.fileHandleForReading.close()
    }

    deinit {
        close(input)
        close(output)
        guard process.isRunning else { return }
        for _ in 0..<50 where process.isRunning { usleep(10_000) }
        if process.isRunning { process.terminate() }
        for _ in 0..<50 where process.isRunning { usleep(10_000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    func failure(_ what: String) -> RewardError { .program(command, what) }

    /// Writes a line and reads one, within the time allowed for both.
    ///
    /// - Throws: `RewardError.program`.
    func answer(to line: String) throws -> [UInt8] {
        lock.lock()
        defer { lock.unlock() }
        // More than one line for the batch before would shift every answer from here on.
        guard buffer.isEmpty else { throw failure("wrote more than one line for a batch") }
        let deadline = ContinuousClock.now + .seconds(timeout)
        var unsent = Array((line + "\n").utf8)[...]
        var searched = 0
        while true {
            if unsent.isEmpty, let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                let answer = Array(buffer[..<end])
                buffer.removeSubrange(...end)
                return answer
            }
            searched = unsent.isEmpty ? buffer.count : 0
            guard buffer.count < Self.maximumLine else { throw failure("answered without end") }
            try wait(until: deadline, toWrite: !unsent.isEmpty)
            if !unsent.isEmpty {
                let count = unsent.withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
                if count >= 0 {
                    unsent = unsent.dropFirst(count)
                } else if errno == EPIPE {
                    throw died()
                }
            }
            var piece = [UInt8](repeating: 0, count: 1 << 16)
            let count = read(output, &piece, piece.count)
            if count > 0 {
                buffer += piece[..<count]
            } else if count == 0 {
                throw died()
            }
        }
    }

    private func wait(until deadline: ContinuousClock.Instant, toWrite: Bool) throws {
        let left = Double((deadline - .now) / .milliseconds(1))
        guard left > 0 else {
            throw failure("gave no answer within \(String(format: "%g", timeout)) s (--reward-timeout)")
        }
        var descriptors = [pollfd(fd: output, events: Int16(POLLIN), revents: 0)]
        if toWrite { descriptors.append(pollfd(fd: input, events: Int16(POLLOUT), revents: 0)) }
        _ = poll(&descriptors, nfds_t(descriptors.count), Int32(min(left.rounded(.up), 1_000_000)))
    }

    private func died() -> RewardError {
        for _ in 0..<200 where process.isRunning { usleep(10_000) }
        guard !process.isRunning else { return failure("closed its output instead of answering") }
        let how = process.terminationReason == .exit ? "ended with status" : "was ended by signal"
        return failure("\(how) \(process.terminationStatus) instead of answering")
    }
}
