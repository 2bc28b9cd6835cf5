import Foundation

/// Properties of stdout and stderr, and lines for stderr.
enum Terminal {
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Whether stdout gets colours: if it is a terminal and NO_COLOR is not set (no-color.org).
    static let colorsOutput: Bool =
        isTerminal(STDOUT_FILENO) && ProcessInfo.processInfo.environment["NO_COLOR", default: ""].isEmpty
        && ProcessInfo.processInfo.environment["TERM"] != "dumb"

    /// Writes one line to stderr.
    static func writeError(_ line: String) {
        StandardStreams.writeErrors(line + "\n")
    }

    /// Writes a warning to stderr.
    static func warn(_ line: String) { writeError("ckpt: warning: \(line)") }
}

/// Text styles, which have no effect if stdout gets no colours.
enum Style: String {
    case bold = "1"
    case faint = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case cyan = "36"

    func callAsFunction(_ text: String) -> String {
        Terminal.colorsOutput ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text
    }
}
