import CheckpointIO
import Foundation

/// A child process that answers each line with one line, over pipes.
///
/// It lives as long as this object, in a process group that ends with it. It should exit at the end of its input;
/// otherwise it is terminated. The end of what it writes to stderr becomes part of an error.
final class LineProgram: @unchecked Sendable {
    private let command: String
    private let timeout: Double
    private let group: ProcessGroup
    private let lock = NSLock()
    /// Bytes received after the last line.
    private var buffer: [UInt8] = []
    private var readsErrors = true
    private static let maximumLineBytes = 1 << 26

    /// - Throws: `RewardError.program` if the shell cannot be started.
    init(command: String, timeout: Double) throws {
        self.command = command
        self.timeout = timeout
        // Without this, writing to a program that has exited would kill this process.
        signal(SIGPIPE, SIG_IGN)
        do {
            group = try ProcessGroup(command: command)
        } catch {
            let reason = (error as? POSIXError).map { String(cString: strerror($0.code.rawValue)) } ?? "\(error)"
            throw RewardError.program(command: command, failure: "cannot be started: \(reason)")
        }
    }

    /// Ends the program and returns the error to throw, with the end of its stderr.
    func failure(_ text: String) -> RewardError {
        group.end(patiently: false)
        let errors = group.lastErrors
        return .program(
            command: command, failure: text + (errors.isEmpty ? "" : "; its stderr ends with \"\(errors)\""))
    }

    /// Sends a line and returns the next line of the output.
    ///
    /// - Throws: `RewardError.program`, also if both together exceed the timeout.
    func answer(to line: String) throws -> [UInt8] {
        lock.lock()
        defer { lock.unlock() }
        guard !group.hasEnded else { throw failure("has ended") }
        // A second line for the previous batch would shift all later answers.
        try receive()
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
            guard buffer.count < Self.maximumLineBytes else {
                throw failure("answered with more than \(Self.maximumLineBytes >> 20) MiB")
            }
            try wait(until: deadline, toWrite: !unsent.isEmpty)
            if readsErrors { readsErrors = group.readErrors() }
            if !unsent.isEmpty {
                let count = unsent.withUnsafeBytes { write(group.input, $0.baseAddress, $0.count) }
                if count >= 0 {
                    unsent = unsent.dropFirst(count)
                } else if errno == EPIPE {
                    throw exited()
                }
            }
            try receive()
        }
    }

    /// Adds output that has arrived to the buffer.
    private func receive() throws {
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(group.output, &piece, piece.count)
        if count > 0 {
            buffer += piece[..<count]
        } else if count == 0 {
            throw exited()
        }
    }

    private func wait(until deadline: ContinuousClock.Instant, toWrite: Bool) throws {
        let left = Double((deadline - .now) / .milliseconds(1))
        guard left > 0 else {
            let ending = group.ending().map { " and \($0)" } ?? ""
            throw failure("gave no answer within \(String(format: "%g", timeout)) s (--reward-timeout)\(ending)")
        }
        var descriptors = [pollfd(fd: group.output, events: Int16(POLLIN), revents: 0)]
        if readsErrors { descriptors.append(pollfd(fd: group.errors, events: Int16(POLLIN), revents: 0)) }
        if toWrite { descriptors.append(pollfd(fd: group.input, events: Int16(POLLOUT), revents: 0)) }
        _ = poll(&descriptors, nfds_t(descriptors.count), Int32(min(left.rounded(.up), 1_000_000)))
    }

    private func exited() -> RewardError {
        guard let ending = group.ending(within: 2) else { return failure("closed its output instead of answering") }
        return failure("\(ending) instead of answering")
    }
}
