import Foundation

/// A child process that answers each line with one line, over pipes.
///
/// It lives as long as this object and shares stderr with this process. It should exit at the end of its input;
/// otherwise it is terminated.
final class LineProgram: @unchecked Sendable {
    private let command: String
    private let timeout: Double
    private let process = Process()
    private let input: Int32
    private let output: Int32
    private let lock = NSLock()
    /// Bytes received after the last line.
    private var buffer: [UInt8] = []
    private static let maximumLineBytes = 1 << 30

    /// - Throws: `RewardError.program` if the shell cannot be started.
    init(command: String, timeout: Double) throws {
        self.command = command
        self.timeout = timeout
        let (requests, replies) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", command]
        process.standardInput = requests
        process.standardOutput = replies
        // Duplicates outlive the pipe objects. The originals are closed below, so that the end of file is noticed.
        input = dup(requests.fileHandleForWriting.fileDescriptor)
        output = dup(replies.fileHandleForReading.fileDescriptor)
        for descriptor in [input, output] {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        }
        // Without this, writing to a program that has exited would kill this process.
        signal(SIGPIPE, SIG_IGN)
        do {
            try process.run()
        } catch {
            close(input)
            close(output)
            throw self.error("cannot be started: \((error as NSError).localizedDescription)")
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

    func error(_ failure: String) -> RewardError { .program(command: command, failure: failure) }

    /// Sends a line and returns the next line of the output.
    ///
    /// - Throws: `RewardError.program`, also if both together exceed the timeout.
    func answer(to line: String) throws -> [UInt8] {
        lock.lock()
        defer { lock.unlock() }
        // A second line for the previous batch would shift all later answers.
        guard buffer.isEmpty else { throw error("wrote more than one line for a batch") }
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
            guard buffer.count < Self.maximumLineBytes else { throw error("answered with a line over 1 GiB") }
            try wait(until: deadline, toWrite: !unsent.isEmpty)
            if !unsent.isEmpty {
                let count = unsent.withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
                if count >= 0 {
                    unsent = unsent.dropFirst(count)
                } else if errno == EPIPE {
                    throw exited()
                }
            }
            var piece = [UInt8](repeating: 0, count: 1 << 16)
            let count = read(output, &piece, piece.count)
            if count > 0 {
                buffer += piece[..<count]
            } else if count == 0 {
                throw exited()
            }
        }
    }

    private func wait(until deadline: ContinuousClock.Instant, toWrite: Bool) throws {
        let left = Double((deadline - .now) / .milliseconds(1))
        guard left > 0 else {
            throw error("gave no answer within \(String(format: "%g", timeout)) s (--reward-timeout)")
        }
        var descriptors = [pollfd(fd: output, events: Int16(POLLIN), revents: 0)]
        if toWrite { descriptors.append(pollfd(fd: input, events: Int16(POLLOUT), revents: 0)) }
        _ = poll(&descriptors, nfds_t(descriptors.count), Int32(min(left.rounded(.up), 1_000_000)))
    }

    private func exited() -> RewardError {
        for _ in 0..<200 where process.isRunning { usleep(10_000) }
        guard !process.isRunning else { return error("closed its output instead of answering") }
        let how = process.terminationReason == .exit ? "exited with status" : "was killed by signal"
        return error("\(how) \(process.terminationStatus) instead of answering")
    }
}
