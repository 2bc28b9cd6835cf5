extension String {
    /// Makes text from a file safe to print within one line of a message.
    ///
    /// Line breaks, control characters and invisible characters become escapes such as `\u{1b}`.
    ///
    /// - Parameter limit: the maximum number of Unicode scalars; longer text ends in "…".
    /// - Returns: the escaped text.
    package func onOneLine(limit: Int = 1000) -> String {
        var text = ""
        var count = 0
        for scalar in unicodeScalars {
            count += 1
            guard count <= limit else { return text + "…" }
            if scalar.isPlain {
                text.unicodeScalars.append(scalar)
            } else {
                text += "\\u{" + String(scalar.value, radix: 16) + "}"
            }
        }
        return text
    }
}

extension Unicode.Scalar {
    /// Whether a terminal prints a character in place: anything visible, or a space.
    package var isPlain: Bool {
        if value < 0x7f { return value >= 0x20 }
        return switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}
