import Foundation
import OrderedJSON
import Synchronization

/// The standard streams; everything that the program writes to stdout and stderr passes through here.
///
/// A message that stderr does not take is lost, and the work goes on. Results that stdout does not take end the program
/// with exit status 2 and one line, or quietly with 141 if the reader of a pipe has gone, as in `ckpt … | head`.
enum StandardStreams {
    private static let bufferSize = 1 << 16
    static let isTerminal = Terminal.isTerminal(STDOUT_FILENO)
    /// Results that are not written yet.
    private static let pending = Mutex<[UInt8]>([])

    /// Prepares the process; called before anything else.
    ///
    /// A closed stream is opened, so that no file that is opened later takes its number. Reading from it gives nothing,
    /// and writing to it fails, because `/dev/null` is opened for reading. A write to a closed pipe or beyond the limit
    /// of file sizes gives an error instead of a signal.
    static func prepare() {
        var descriptor = open("/dev/null", O_RDONLY)
        while (STDIN_FILENO...STDERR_FILENO).contains(descriptor) { descriptor = open("/dev/null", O_RDONLY) }
        if descriptor >= 0 { close(descriptor) }
        for signal in [SIGPIPE, SIGXFSZ] { Foundation.signal(signal, SIG_IGN) }
    }

    /// stderr as it was before `silence`.
    private static let spoken = Mutex<Int32?>(nil)

    /// Sends everything that this process writes to nowhere, until it has an error to report.
    static func silence() {
        let nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC)
        guard nowhere >= 0 else { return }
        spoken.withLock { $0 = $0 ?? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) }
        dup2(nowhere, STDOUT_FILENO)
        dup2(nowhere, STDERR_FILENO)
        close(nowhere)
    }

    /// Gives a silent process its stderr back.
    static func speak() {
        if let descriptor = spoken.withLock({ $0 }), descriptor >= 0 { dup2(descriptor, STDERR_FILENO) }
    }

    /// Writes text to stderr; only the panel does that.
    static func writeErrors(_ text: String) {
        _ = deliver(Array(text.utf8), to: STDERR_FILENO)
    }

    /// Writes results to stdout: at once to a terminal, otherwise when enough are pending.
    static func writeResults(_ text: String) {
        let isDue = pending.withLock { pending in
            pending += text.utf8
            return isTerminal || pending.count >= bufferSize
        }
        if isDue { flush() }
    }

    /// Writes all pending results to stdout.
    static func flush() {
        if isTerminal { LivePanel.hide() }
        let failure = flushed()
        guard failure != 0 else { return }
        if failure == EPIPE { Foundation.exit(128 + SIGPIPE) }
        let reason = String(cString: strerror(failure))
        LivePanel.write(
            "ckpt: error: standard output cannot be written: \(reason.prefix(1).lowercased())\(reason.dropFirst()); "
                + "send it to a file or pipe that takes the results\n")
        Foundation.exit(2)
    }

    /// Writes the pending results and ends the program.
    ///
    /// An error that was already reported stays the only one.
    static func exit(_ status: Int32) -> Never {
        if status == 2 { _ = flushed() } else { flush() }
        Foundation.exit(status)
    }

    /// All of stdin.
    ///
    /// - Throws: `StandardInputError`.
    static func readInput() throws -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: bufferSize)
        while true {
            let count = read(STDIN_FILENO, &piece, piece.count)
            if count > 0 {
                bytes += piece[..<count]
            } else if count == 0 {
                return bytes
            } else if !canRetry(STDIN_FILENO, for: POLLIN, waiting: -1) {
                throw StandardInputError(code: errno)
            }
        }
    }

    /// Writes the pending results; returns an error number, or 0.
    private static func flushed() -> Int32 {
        pending.withLock { pending in
            defer { pending.removeAll(keepingCapacity: true) }
            return deliver(pending, to: STDOUT_FILENO)
        }
    }

    /// Writes all bytes; returns an error number, or 0.
    private static func deliver(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if !canRetry(descriptor, for: POLLOUT, waiting: descriptor == STDERR_FILENO ? 1000 : -1) {
                return errno
            }
        }
        return 0
    }

    /// Whether a call that failed can be repeated, after a wait of at most `milliseconds` if it would block.
    private static func canRetry(_ descriptor: Int32, for event: Int32, waiting milliseconds: Int32) -> Bool {
        let failure = errno
        guard failure == EAGAIN else { return failure == EINTR }
        var descriptors = [pollfd(fd: descriptor, events: Int16(event), revents: 0)]
        let isReady = poll(&descriptors, 1, milliseconds) != 0
        errno = failure
        return isReady
    }
}

/// stdin that cannot be read.
struct StandardInputError: Error, CustomStringConvertible {
    let code: Int32

    var description: String {
        let reason = String(cString: strerror(code))
        return "standard input cannot be read: \(reason.prefix(1).lowercased())\(reason.dropFirst()); "
            + "give the text as an argument or through a pipe"
    }
}

/// Prints results to stdout; what a terminal would not print in place is escaped, but for newlines and styles.
///
/// It hides Swift's `print` in this module, which ignores that a write fails.
func print(_ items: Any..., separator: String = " ", terminator: String = "\n") {
    let text = items.map { "\($0)" }.joined(separator: separator) + terminator
    StandardStreams.writeResults(text.onLines(replacing: Style.sequences))
}

/// Prints lines of results, broken at spaces where they are wider than the screen.
func print(lines: [String]) {
    let width = Terminal.outputColumns
    for line in lines.flatMap({ $0.wrapped(to: width) }) { print(line) }
}

/// Prints JSON for programs to stdout, unchanged; on a terminal with JSON's own escapes.
func print(json: JSON, indent: Int? = 2) {
    StandardStreams.writeResults(
        (StandardStreams.isTerminal ? json.serializedVisibly(indent: indent) : json.serialized(indent: indent)) + "\n")
}

/// Prints text from outside to stdout, unchanged; on a terminal as `print` does.
func print(unchanged text: String, terminator: String = "\n") {
    StandardStreams.writeResults((StandardStreams.isTerminal ? text.onLines() : text) + terminator)
}
