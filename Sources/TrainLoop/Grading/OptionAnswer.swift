/// An answer that names an option and gives its value: `\textbf{(B)}\ 12`.
struct OptionAnswer {
    let letter: UInt8
    let value: String

    /// What is to be compared if one of both texts is an option with its value; nil if none is.
    ///
    /// Two letters must be equal; a letter alone is compared with the letter, a value alone with the value.
    static func compare(_ answer: String, _ truth: String) -> (areEqual: Bool, answer: String, truth: String)? {
        guard mayStart(answer) || mayStart(truth) else { return nil }
        let (left, right) = (OptionAnswer(answer), OptionAnswer(truth))
        switch (left, right) {
        case (let left?, let right?): return (left.letter == right.letter, left.value, right.value)
        case (let left?, nil):
            if let letter = onlyLetter(truth) { return (left.letter == letter, "", "") }
            return (true, left.value, truth)
        case (nil, let right?):
            if let letter = onlyLetter(answer) { return (right.letter == letter, "", "") }
            return (true, answer, right.value)
        case (nil, nil): return nil
        }
    }

    private static func mayStart(_ text: String) -> Bool {
        guard let first = text.utf8.first else { return false }
        return first == UInt8(ascii: "(") || first == UInt8(ascii: "\\") || first &- 65 < 10
    }

    /// Reads `(B) 12`, `B) 12` and `B. 12`, the letter perhaps in a command such as `\textbf{}`.
    private init?(_ text: String) {
        var rest = text.utf8[...]
        let command = rest.first == UInt8(ascii: "\\") ? Self.command(&rest) : nil
        if command == nil, rest.first == UInt8(ascii: "\\") { return nil }
        let isOpen = Self.take("(", &rest)
        guard let letter = rest.popFirst(), letter &- 65 < 10 else { return nil }
        let isClosed = Self.take(")", &rest)
        if command != nil { _ = Self.take("}", &rest) || Self.take(" ", &rest) }
        // "B. 12" needs the space; "B.5" is something else.
        guard isClosed || (!isOpen && (Self.take(". ", &rest) || Self.take(": ", &rest))) else { return nil }
        var value = String(Substring(rest))
        if command != nil, value.utf8.last == UInt8(ascii: "}"), !value.utf8.contains(UInt8(ascii: "{")) {
            value.removeLast()
        }
        for space in [#"\ "#, #"\quad"#, #"\qquad"#, "~", #"\,"#, #"\:"#] where value.hasPrefix(space) {
            value.removeFirst(space.count)
        }
        value = value.trimmed
        guard !value.isEmpty, value != "}" else { return nil }
        self.letter = letter
        self.value = value
    }

    private static func take(_ text: String, _ rest: inout Substring.UTF8View) -> Bool {
        guard rest.starts(with: text.utf8) else { return false }
        rest = rest.dropFirst(text.utf8.count)
        return true
    }

    /// Takes a command around text with its opening brace.
    private static func command(_ rest: inout Substring.UTF8View) -> String? {
        let name = rest.dropFirst().prefix { ($0 | 0x20) &- 97 < 26 }
        let text = String(Substring(name))
        guard AnswerVocabulary.textCommands.contains(text) || text == "mathrm" || text == "mathbf",
            rest.dropFirst(1 + name.count).first == UInt8(ascii: "{")
        else { return nil }
        rest = rest.dropFirst(2 + name.count)
        return text
    }

    /// The letter of an answer that is nothing else: `B`, `(B)`, `\text{B}`.
    private static func onlyLetter(_ text: String) -> UInt8? {
        guard text.utf8.count <= 16, case .text(let plain) = AnswerValue.plainText(text), plain.utf8.count == 1 else {
            return nil
        }
        return plain.utf8.first
    }
}
