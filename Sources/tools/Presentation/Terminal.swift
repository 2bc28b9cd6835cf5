import Foundation
import OrderedJSON

/// Properties of stdout and stderr, and lines for stderr.
enum Terminal {
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Whether stdout gets colours: if it is a terminal and NO_COLOR is not set (no-color.org).
    static let colorsOutput: Bool =
        isTerminal(STDOUT_FILENO) && ProcessInfo.processInfo.environment["NO_COLOR", default: ""].isEmpty
        && ProcessInfo.processInfo.environment["TERM"] != "dumb"

    /// Writes one line to stderr; what a terminal would not print in place is escaped, but for newlines.
    static func writeError(_ line: String) {
        StandardStreams.writeErrors(line.onLines() + "\n")
    }

    /// Writes a warning to stderr.
    static func warn(_ line: String) { writeError("ckpt: warning: \(line.onOneLine(limit: 4000))") }
}

/// Text styles, which have no effect if stdout gets no colours.
///
/// A style begins and ends with a private character, for which `print` writes the control sequence. One that comes from
/// outside changes the style of the text after it and nothing else.
enum Style: String {
    case bold = "\u{F8D1}"
    case faint = "\u{F8D2}"
    case red = "\u{F8D3}"
    case green = "\u{F8D4}"
    case yellow = "\u{F8D5}"
    case cyan = "\u{F8D6}"

    func callAsFunction(_ text: String) -> String {
        Terminal.colorsOutput ? "\(rawValue)\(text)\u{F8D0}" : text
    }

    /// The control sequences for these characters; none if stdout gets no colours.
    static let sequences: [Unicode.Scalar: String] =
        Terminal.colorsOutput
        ? [
            "\u{F8D0}": "\u{1B}[0m", "\u{F8D1}": "\u{1B}[1m", "\u{F8D2}": "\u{1B}[2m", "\u{F8D3}": "\u{1B}[31m",
            "\u{F8D4}": "\u{1B}[32m", "\u{F8D5}": "\u{1B}[33m", "\u{F8D6}": "\u{1B}[36m",
        ] : [:]
}
