import Foundation
import OrderedJSON

/// Properties of the terminal, and lines for stderr.
enum Terminal {
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Whether stdout gets colours: if it is a terminal and NO_COLOR is not set (no-color.org).
    static let colorsOutput: Bool =
        isTerminal(STDOUT_FILENO) && ProcessInfo.processInfo.environment["NO_COLOR", default: ""].isEmpty
        && ProcessInfo.processInfo.environment["TERM"] != "dumb"

    /// Whether stderr takes control sequences: if it is a terminal that has them, and NO_COLOR is not set.
    static let controlsErrors: Bool = {
        let environment = ProcessInfo.processInfo.environment
        return isTerminal(STDERR_FILENO) && environment["NO_COLOR", default: ""].isEmpty
            && !["", "dumb"].contains(environment["TERM", default: ""])
    }()

    /// Whether the terminal cuts lines when it gets narrower, instead of wrapping them.
    static let cutsLines: Bool = {
        let environment = ProcessInfo.processInfo.environment
        return environment["XTERM_VERSION"] != nil || environment["TERM"] == "linux"
    }()

    /// Whether the program is in the foreground of the terminal on stderr, so that the screen is its own.
    static var isInForeground: Bool {
        let group = tcgetpgrp(STDERR_FILENO)
        return group < 0 || group == getpgrp()
    }

    /// The size of the terminal on stderr now.
    static var errorSize: (columns: Int, rows: Int) { size(of: STDERR_FILENO) }

    /// The cells of a line of results: the width of the terminal on stdout, or 80.
    static var outputColumns: Int { min(max(size(of: STDOUT_FILENO).columns, 40), 120) }

    /// The size of the terminal on a descriptor now; else that of COLUMNS and LINES; else 80 × 24.
    static func size(of descriptor: Int32) -> (columns: Int, rows: Int) {
        var size = winsize()
        let isKnown = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0
        func dimension(_ cells: UInt16, _ variable: String, _ usual: Int) -> Int {
            if isKnown, cells > 0 { return Int(cells) }
            let given = ProcessInfo.processInfo.environment[variable].flatMap(Int.init) ?? usual
            return (1...10_000).contains(given) ? given : usual
        }
        return (dimension(size.ws_col, "COLUMNS", 80), dimension(size.ws_row, "LINES", 24))
    }

    /// Writes one line to stderr; what a terminal would not print in place is escaped, but for newlines.
    ///
    /// - Parameters:
    ///   - line: the text.
    ///   - wraps: whether a terminal gets it broken at spaces.
    static func writeError(_ line: String, wraps: Bool = true) {
        var lines = line.onLines().split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if wraps, controlsErrors {
            let width = errorSize.columns - 1
            lines = lines.flatMap { $0.wrapped(to: width) }
        }
        LivePanel.write(lines.map { $0 + "\n" }.joined())
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

    /// The private characters that begin and end styles.
    static let scalars: ClosedRange<UInt32> = 0xF8D0...0xF8D6

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
