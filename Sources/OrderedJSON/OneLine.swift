extension String {
    /// Makes text from outside safe to print within one line of a message.
    ///
    /// Line breaks, control characters and invisible characters become escapes such as `\u{1b}`.
    ///
    /// - Parameter limit: the maximum number of Unicode scalars; longer text ends in "…".
    /// - Returns: the escaped text.
    package func onOneLine(limit: Int = 1000) -> String {
        var text = TextBuffer()
        var count = 0
        for scalar in unicodeScalars {
            count += 1
            guard count <= limit else { return text.text + "…" }
            text.append(visible: scalar)
        }
        return text.text
    }

    /// Makes text from outside safe to print, over several lines.
    ///
    /// Newlines, tabs and the joiners of emoji and scripts are kept; all other characters that `onOneLine` escapes are
    /// escaped.
    ///
    /// - Parameter sequences: characters that stand for a control sequence of the caller's.
    /// - Returns: the escaped text.
    package func onLines(replacing sequences: [Unicode.Scalar: String] = [:]) -> String {
        guard utf8.contains(where: { !(0x20..<0x7F).contains($0) && $0 != 0x0A && $0 != 0x09 }) else { return self }
        var text = TextBuffer()
        for scalar in unicodeScalars {
            switch scalar {
            case "\n", "\t", "\u{200C}", "\u{200D}": text.append(scalar)
            default:
                if let sequence = sequences[scalar] { text.append(sequence) } else { text.append(visible: scalar) }
            }
        }
        return text.text
    }
}

extension TextBuffer {
    /// Appends a plain character as it is, and any other as an escape.
    fileprivate mutating func append(visible scalar: Unicode.Scalar) {
        if scalar.isPlain { append(scalar) } else { append("\\u{" + String(scalar.value, radix: 16) + "}") }
    }
}

extension JSON {
    /// The value with all keys and texts as `onLines` gives them, to be shown on a page.
    package var onLines: JSON {
        switch self {
        case .string(let text): .string(text.onLines())
        case .array(let elements): .array(elements.map(\.onLines))
        case .object(let members): .object(JSONObject(members.map { ($0.key.onLines(), $0.value.onLines) }))
        case .null, .bool, .number: self
        }
    }

    /// The serialized value, in which characters that a terminal does not print in place are escaped.
    package func serializedVisibly(indent: Int?) -> String {
        var text = TextBuffer()
        for scalar in serialized(indent: indent).unicodeScalars {
            if scalar.isPlain || scalar == "\n" {
                text.append(scalar)
            } else {
                for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
                    let digits = String(unit, radix: 16)
                    text.append("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
                }
            }
        }
        return text.text
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
