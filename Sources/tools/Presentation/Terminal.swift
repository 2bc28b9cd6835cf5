import Foundation

/// Where results (stdout) and progress (stderr) go, and what may be drawn there.
enum Terminal {
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Columns of stdout's terminal, at most 120; 80 where it is none.
    static var width: Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col >= 40 else { return 80 }
        return min(Int(size.ws_col), 120)
    }

    /// Colour only on a terminal, and never where NO_COLOR is set (no-color.org).
    static let colorsOutput: Bool =
        isTerminal(STDOUT_FILENO) && ProcessInfo.processInfo.environment["NO_COLOR", default: ""].isEmpty
        && ProcessInfo.processInfo.environment["TERM"] != "dumb"

    /// Writes one line to stderr.
    static func writeError(_ line: String) {
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }

    /// A warning does not stop anything; it goes to stderr.
    static func warn(_ line: String) { writeError("ckpt: warning: \(line)") }
}

/// Text styles that vanish where colour is not wanted.
enum Style: String {
    case bold = "1"
    case faint = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case blue = "34"
    case cyan = "36"

    func callAsFunction(_ text: String) -> String {
        Terminal.colorsOutput ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text
    }
}
