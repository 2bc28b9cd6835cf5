extension String {
    /// The text as a part of one line of a message: at most `limit` characters (Unicode scalars), and instead of line
    /// breaks and whatever else moves a terminal or hides its neighbours their number, `\u{1b}`.
    ///
    /// For all text that comes out of files.
    public func onOneLine(limit: Int = 1000) -> String {
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
    /// Whether a terminal shows something for it, or a space, where it stands.
    public var isPlain: Bool {
        if value < 0x7f { return value >= 0x20 }
        return switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}
