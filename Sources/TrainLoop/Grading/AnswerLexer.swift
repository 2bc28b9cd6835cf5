/// Splits an answer into tokens without white space, currency signs, and commands for size or spacing.
struct AnswerLexer {
    struct Lexeme: Hashable {
        var token: AnswerToken
        var followsSpace: Bool
    }

    /// Whether some comma may be a thousands separator or may separate items.
    private(set) var hasAmbiguousCommas = false
    private(set) var lexemes: [Lexeme] = []

    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var bracketDepth = 0
    private var sawSpace = false
    private let joinsThousands: Bool
    /// Of `\text{…}` inside `\text{…}`.
    private let depth: Int
    private static let maximumDepth = 8

    /// - Parameters:
    ///   - text: the answer.
    ///   - joinsThousands: reads `1,234` as one number instead of two.
    init(_ text: String, joinsThousands: Bool) { self.init(Array(text.unicodeScalars), joinsThousands, depth: 0) }

    private init(_ scalars: [Unicode.Scalar], _ joinsThousands: Bool, depth: Int) {
        self.scalars = scalars
        self.joinsThousands = joinsThousands
        self.depth = depth
        lexemes.reserveCapacity(scalars.count)
        while position < scalars.count {
            if skipBlank() {
                sawSpace = true
            } else {
                next()
            }
        }
    }

    private func scalar(at offset: Int) -> Unicode.Scalar? {
        position + offset < scalars.count ? scalars[position + offset] : nil
    }

    private func isDigit(at offset: Int) -> Bool { scalar(at: offset).map(Self.isDigit) ?? false }
    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { scalar.value &- 48 < 10 }
    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool { (scalar.value | 0x20) &- 97 < 26 }

    private mutating func append(_ tokens: AnswerToken...) {
        for token in tokens {
            lexemes.append(Lexeme(token: token, followsSpace: sawSpace))
            sawSpace = false
        }
    }

    private mutating func skipBlank() -> Bool {
        guard let current = scalar(at: 0) else { return false }
        switch current {
        case " ", "\n", "\t", "\r", "~", "$", "€", "£", "¥", "₹", "\u{200B}", "\u{200C}", "\u{200D}", "\u{2060}",
            "\u{FEFF}",
            "\u{AD}", "`":
            position += 1
            return true
        case "\\":
            guard let next = scalar(at: 1), ",;:!> $\n".unicodeScalars.contains(next) else { return false }
            position += 2
            return true
        default:
            guard !current.isASCII, current.properties.isWhitespace else { return false }
            position += 1
            return true
        }
    }

    private mutating func next() {
        let current = scalars[position]
        if Self.isDigit(current) || (current == "." && isDigit(at: 1)) { return number() }
        if Self.isLetter(current) { return letters() }
        if current == "\\" { return command() }
        position += 1
        if !current.isASCII { return other(current) }
        switch current {
        case "(", "[": bracketDepth += 1
        case ")", "]": bracketDepth -= 1
        case "!" where scalar(at: 0) == "=" && sawSpace:
            // Not a factorial: x != 3.
            position += 1
            return append(.command("ne"))
        case "*" where scalar(at: 0) == "*":
            // Python's power.
            position += 1
            return append(.symbol("^"))
        default: break
        }
        append(.symbol(current))
    }

    /// A character outside ASCII.
    private mutating func other(_ current: Unicode.Scalar) {
        if let name = AnswerVocabulary.characters[current] { return append(.command(name)) }
        if let same = AnswerVocabulary.lookalikes[current] {
            return append(Self.isLetter(same) ? .letter(String(same)) : .symbol(same))
        }
        if let fraction = AnswerVocabulary.fractions[current] {
            return append(
                .command("frac"), .symbol("{"), .number(fraction.top), .symbol("}"), .symbol("{"),
                .number(fraction.bottom), .symbol("}"))
        }
        if (0xFF01...0xFF5E).contains(current.value), let narrow = Unicode.Scalar(current.value - 0xFEE0) {
            return append(Self.isDigit(narrow) ? .number(String(narrow)) : .symbol(narrow))
        }
        if let first = AnswerVocabulary.superscripts[current] {
            append(.symbol("^"), .symbol("{"))
            superscript(first)
            while let next = scalar(at: 0).flatMap({ AnswerVocabulary.superscripts[$0] }) {
                position += 1
                superscript(next)
            }
            return append(.symbol("}"))
        }
        append(AnswerVocabulary.letter(current).map { .letter($0) } ?? .symbol(current))
    }

    private mutating func superscript(_ scalar: Unicode.Scalar) {
        guard Self.isDigit(scalar) else {
            return append(Self.isLetter(scalar) ? .letter(String(scalar)) : .symbol(scalar))
        }
        if case .number(let digits)? = lexemes.last?.token {
            lexemes[lexemes.count - 1].token = .number(digits + String(scalar))
        } else {
            append(.number(String(scalar)))
        }
    }

    // MARK: Numbers

    private mutating func number() {
        var digits = ""
        var hasPoint = false
        var firstGroupLength: Int?
        while let current = scalar(at: 0) {
            if Self.isDigit(current) {
                digits.unicodeScalars.append(current)
                position += 1
            } else if current == ".", !hasPoint, isDigit(at: 1) || startsRepetition(at: 1) {
                hasPoint = true
                digits.append(".")
                position += 1
            } else if !hasPoint, (firstGroupLength ?? digits.count) <= 3, let length = thousandsSeparator(after: digits)
            {
                firstGroupLength = firstGroupLength ?? digits.count
                position += length
            } else {
                break
            }
        }
        if hasPoint, let period = repetition() { digits += "(\(period))" }
        append(.number(digits))
        scientificExponent()
    }

    /// `e-5` directly after a number, as programs print it.
    private mutating func scientificExponent() {
        guard scalar(at: 0) == "e" || scalar(at: 0) == "E" else { return }
        let sign = scalar(at: 1).flatMap { $0 == "-" || $0 == "+" ? $0 : nil }
        var length = sign == nil ? 1 : 2
        guard isDigit(at: length) else { return }
        var digits = ""
        while isDigit(at: length), let digit = scalar(at: length) {
            digits.unicodeScalars.append(digit)
            length += 1
        }
        position += length
        append(.symbol("*"), .number("10"), .symbol("^"), .symbol("{"))
        if sign == "-" { append(.symbol("-")) }
        append(.number(digits), .symbol("}"))
    }

    private static let repetitionMarks = ["overline", "bar", "dot", "overbar"].map { Array("\\\($0)".unicodeScalars) }

    /// The length of `\overline` and the like after a decimal point.
    private func repetitionLength(at offset: Int) -> Int? {
        guard scalar(at: offset) == "\\" else { return nil }
        let start = position + offset
        for mark in Self.repetitionMarks where scalars.dropFirst(start).starts(with: mark) {
            if let next = scalar(at: offset + mark.count), next == "{" || Self.isDigit(next) || next == " " {
                return mark.count
            }
        }
        return nil
    }

    private func startsRepetition(at offset: Int) -> Bool { repetitionLength(at: offset) != nil }

    /// Takes the repeating digits: `\overline{3}` after `0.`; nil if there are none.
    private mutating func repetition() -> String? {
        guard let length = repetitionLength(at: 0) else { return nil }
        let start = position
        position += length
        let content = group().trimmingSpaces
        guard !content.isEmpty, content.allSatisfy(Self.isDigit) else {
            position = start
            return nil
        }
        return String(String.UnicodeScalarView(content))
    }

    /// The length of a thousands separator before exactly three digits.
    ///
    /// `,\!`, `{,}`, `\,` and a space are certain; `,` is one if `joinsThousands`.
    private mutating func thousandsSeparator(after digits: String) -> Int? {
        var isCertain = true
        var length: Int
        switch (scalar(at: 0), scalar(at: 1), scalar(at: 2)) {
        case (",", "\\", "!"), ("{", ",", "}"): length = 3
        case ("\\", ",", _): length = 2
        case (" ", _, _), ("~", _, _), ("\u{A0}", _, _), ("\u{202F}", _, _), ("\u{2009}", _, _): length = 1
        case (",", _, _): (isCertain, length) = (false, 1)
        default: return nil
        }
        if length == 3, scalar(at: 0) == "," { while scalar(at: length) == " " { length += 1 } }
        guard isDigit(at: length), isDigit(at: length + 1), isDigit(at: length + 2), !isDigit(at: length + 3),
            digits.first != "0" || isCertain && length == 3
        else { return nil }
        // 5 123/456 is a mixed number.
        if length == 1, scalar(at: 0) != ",", scalar(at: 4) == "/" { return nil }
        if isCertain { return length }
        hasAmbiguousCommas = true
        return joinsThousands && bracketDepth == 0 ? length : nil
    }

    // MARK: Letters

    private mutating func letters() {
        let start = position
        while let current = scalar(at: 0), Self.isLetter(current) { position += 1 }
        let run = String(String.UnicodeScalarView(scalars[start..<position]))
        if run.utf8.count > 1 {
            let lower = run.lowercased()
            if AnswerVocabulary.functions.contains(lower) {
                append(.command(lower))
                // In plain text, the whole number is under the root.
                if lower == "sqrt", isDigit(at: 0) {
                    append(.symbol("{"))
                    number()
                    append(.symbol("}"))
                }
                return
            }
            switch lower {
            case "pi": return append(.command("pi"))
            case "infinity", "inf", "oo": return append(.command("infty"))
            case "or", "and": return append(.word(lower))
            default: break
            }
        }
        // Three or more letters are a word, unless a number precedes them directly; fewer are a product of variables.
        let followsNumber = lexemes.last.map { Self.isNumber($0.token) } ?? false
        let isApart = start == 0 || !Self.isDigit(scalars[start - 1])
        if run.utf8.count >= 3 && isApart || followsNumber && Units.abbreviations.contains(run) {
            // Three capitals name a figure.
            guard !run.utf8.allSatisfy({ $0 &- 65 < 26 }) || run.utf8.count > 4 || followsNumber else {
                return run.forEach { append(.letter(String($0))) }
            }
            return append(.word(run))
        }
        for letter in run.unicodeScalars { append(.letter(String(letter))) }
    }

    private static func isNumber(_ token: AnswerToken) -> Bool {
        if case .number = token { true } else { false }
    }

    // MARK: Commands

    private mutating func command() {
        position += 1
        guard let first = scalar(at: 0) else { return }
        guard Self.isLetter(first) else {
            position += 1
            switch first {
            case "\\": append(.command("newline"))
            case "{": append(.command("{"))
            case "}": append(.command("}"))
            case "(", ")", "[", "]":
                // The delimiters of mathematics around a whole answer.
                break
            default: append(.symbol(first))
            }
            return
        }
        let start = position
        while let current = scalar(at: 0), Self.isLetter(current) { position += 1 }
        var name = String(String.UnicodeScalarView(scalars[start..<position]))
        if name.hasPrefix("quad"), name.utf8.count > 4 {
            // A space that was lost: \quadx.
            name = "quad"
            position = start + 4
        }
        switch name {
        case "mathrm", "mathbf", "rm":
            let before = position
            let text = group().trimmingSpaces
            let isUnit = lexemes.last.map { Self.isNumber($0.token) || $0.token == .symbol("}") } ?? false
            if text.count > 1 || isUnit && name == "mathrm" && text != ["i"] && text != ["e"],
                text.allSatisfy({ Self.isLetter($0) || $0 == " " || $0 == "~" || $0 == "/" })
            {
                return word(text)
            }
            position = before
        case "begin", "end": return append(.command(name), .word(string(group())))
        case "operatorname":
            let text = string(group())
            return append(AnswerVocabulary.functions.contains(text) ? .command(text) : .word(text))
        default: break
        }
        if AnswerVocabulary.ignored.contains(name) {
            // \left. and \right. are invisible brackets.
            if name == "left" || name == "right", scalar(at: 0) == "." { position += 1 }
        } else if AnswerVocabulary.ignoredWithArgument.contains(name) {
            _ = group()
        } else if AnswerVocabulary.textCommands.contains(name) {
            text(group())
        } else if AnswerVocabulary.greek.contains(name) {
            append(.letter(name))
        } else if let alias = AnswerVocabulary.aliases[name] {
            let scalars = alias.unicodeScalars
            if scalars.count == 1, let symbol = scalars.first {
                append(symbol == "{" || symbol == "}" ? .command(alias) : .symbol(symbol))
            } else {
                append(.command(alias))
            }
        } else {
            append(.command(name))
        }
    }

    /// The content of `\text{…}`: mathematics if it is a number or an equation, else a word.
    private mutating func text(_ content: [Unicode.Scalar]) {
        let bare = content.trimmingSpaces
        guard let first = bare.first, depth < Self.maximumDepth else { return append(.word(string(content))) }
        let hasDigit = bare.contains(where: Self.isDigit)
        let isMathematics =
            first == "\\" || hasDigit && (!Self.isLetter(first) || bare.contains("=")) || bare == ["+"] || bare == ["-"]
        guard isMathematics else { return word(content) }
        let inner = AnswerLexer(bare, joinsThousands, depth: depth + 1)
        hasAmbiguousCommas = hasAmbiguousCommas || inner.hasAmbiguousCommas
        lexemes += inner.lexemes
    }

    private mutating func word(_ content: [Unicode.Scalar]) {
        append(.word(string(content.map { $0 == "~" ? " " : $0 })))
    }

    private func string(_ scalars: [Unicode.Scalar]) -> String { String(String.UnicodeScalarView(scalars)) }

    /// The content of the braces that follow, or the next character.
    private mutating func group() -> [Unicode.Scalar] {
        while scalar(at: 0) == " " { position += 1 }
        guard scalar(at: 0) == "{" else {
            guard let only = scalar(at: 0), Self.isDigit(only) else { return [] }
            position += 1
            return [only]
        }
        let start = position + 1
        var depth = 0
        while let current = scalar(at: 0) {
            if current == "{" { depth += 1 }
            if current == "}" { depth -= 1 }
            position += 1
            if depth == 0 { return Array(scalars[start..<position - 1]) }
        }
        return Array(scalars[min(start, scalars.count)...])
    }
}

extension [Unicode.Scalar] {
    fileprivate var trimmingSpaces: [Unicode.Scalar] {
        func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || scalar == "~" || scalar == "\n" }
        guard let first = firstIndex(where: { !isSpace($0) }), let last = lastIndex(where: { !isSpace($0) }) else {
            return []
        }
        return Array(self[first...last])
    }
}
