import OrderedJSON

/// Translates a pattern of the `tokenizers` library (Oniguruma, Ruby syntax) to PCRE2.
///
/// Classes whose Unicode meaning differs (`\s`, `\w` and their complements) and characters that PCRE2's tables lack are
/// written out. Constructs that mean something else in PCRE2 are rejected by name.
struct PatternTranslation {
    private let source: [Unicode.Scalar]
    private var position = 0
    private var output = TextBuffer()
    private let place: String

    private static let space = #"\p{White_Space}"#
    private static let notSpace = #"\P{White_Space}"#
    private static let word =
        #"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}"# + ["Alphabetic", "M", "Nd", "Pc"].map(Unicode16Additions.ranges).joined()
    /// Outside a character class, Oniguruma also counts the superscripts and fractions of Latin-1.
    private static let wordAlone = word + #"\x{b2}\x{b3}\x{b9}\x{bc}-\x{be}"#

    static func translate(_ pattern: String, at place: String) throws -> String {
        var translation = PatternTranslation(source: Array(pattern.unicodeScalars), place: place)
        try translation.run()
        return translation.output.text
    }

    private init(source: [Unicode.Scalar], place: String) {
        self.source = source
        self.place = place
    }

    private func refused(_ what: String) -> TokenizerError {
        .unsupported(place: place, what: "\(what) in a pattern")
    }

    private func peek(_ distance: Int = 0) -> Unicode.Scalar? {
        position + distance < source.count ? source[position + distance] : nil
    }

    private mutating func run() throws {
        while let scalar = peek() {
            switch scalar {
            case "\\": try escape(inClass: false)
            case "[": try characterClass()
            case "(": try group()
            default:
                output.append(scalar)
                position += 1
            }
        }
    }

    /// Copies a group that means the same in both: capturing, non-capturing, look-around, atomic, and the option `i`.
    private mutating func group() throws {
        let known = ["(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:", "(?i)"]
        let rest = String(String.UnicodeScalarView(source[position..<min(position + 5, source.count)]))
        if rest.hasPrefix("(*") { throw refused("\"(*\"") }
        if rest.hasPrefix("(?") {
            guard let match = known.first(where: { rest.hasPrefix($0) }) else {
                throw refused("the group \"\(rest)\"")
            }
            output.append(match)
            position += match.unicodeScalars.count
        } else {
            output.append("(")
            position += 1
        }
    }

    private mutating func characterClass() throws {
        output.append("[")
        position += 1
        if peek() == "^" {
            output.append("^")
            position += 1
        }
        var isFirst = true
        while let scalar = peek() {
            switch scalar {
            case "]" where !isFirst:
                output.append("]")
                position += 1
                return
            case "]": output.append(#"\]"#)
            case "[": throw refused("a class inside a class")
            case "&" where peek(1) == "&": throw refused("\"&&\"")
            case "\\":
                try escape(inClass: true)
                isFirst = false
                continue
            default: output.append(scalar)
            }
            position += 1
            isFirst = false
        }
        throw TokenizerError.malformed(place: place, reason: "the pattern has a class without end")
    }

    private mutating func escape(inClass: Bool) throws {
        guard let letter = peek(1) else {
            throw TokenizerError.malformed(place: place, reason: "the pattern ends in a backslash")
        }
        position += 2
        switch letter {
        case "s": output.append(Self.space)
        case "S": output.append(Self.notSpace)
        case "w": output.append(inClass ? Self.word : "[\(Self.wordAlone)]")
        case "W" where !inClass: output.append("[^\(Self.wordAlone)]")
        case "d": property("p", "Nd", inClass: inClass)
        case "D": property("P", "Nd", inClass: inClass)
        case "p", "P": try property(letter, inClass: inClass)
        case "r", "n", "t", "f", "x": output.append("\\\(letter)")
        case "v" where !inClass: output.append(#"\x0b"#)
        case "A" where !inClass, "z" where !inClass: output.append("\\\(letter)")
        default:
            guard letter.value < 0x80, !letter.properties.isAlphabetic, letter.properties.numericType == nil else {
                throw refused("\"\\\(letter)\"\(inClass ? " in a class" : "")")
            }
            output.append("\\\(letter)")
        }
    }

    private mutating func property(_ letter: Unicode.Scalar, inClass: Bool) throws {
        guard peek() == "{", let end = source[position...].firstIndex(of: "}") else {
            throw refused("\"\\\(letter)\" without braces")
        }
        property(letter, String(String.UnicodeScalarView(source[(position + 1)..<end])), inClass: inClass)
        position = end + 1
    }

    /// Appends `\p{name}` or `\P{name}` and accounts for characters that PCRE2 lacks.
    ///
    /// `\P` inside a class cannot exclude newer characters, so PCRE2's own tables apply there; no published tokenizer
    /// uses it.
    private mutating func property(_ letter: Unicode.Scalar, _ name: String, inClass: Bool) {
        let newer = Unicode16Additions.ranges(of: name)
        if newer.isEmpty || (inClass && letter == "P") {
            output.append("\\\(letter){\(name)}")
        } else if inClass {
            output.append("\\p{\(name)}\(newer)")
        } else {
            output.append("[\(letter == "P" ? "^" : "")\\p{\(name)}\(newer)]")
        }
    }
}
