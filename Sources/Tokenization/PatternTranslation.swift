import OrderedJSON

/// Rewrites a pattern of the `tokenizers` library, which is in Oniguruma's Ruby syntax, for PCRE2.
///
/// The two agree on what pre-tokenizers use but for a few classes whose Unicode meaning differs (`\s`, `\w`, and what
/// follows from them); those are written out, and so are characters that PCRE2's tables do not have yet. A construct
/// that means something else in PCRE2 is refused by name.
struct PatternTranslation {
    private let source: [Unicode.Scalar]
    private var position = 0
    private var output = TextBuffer()
    private let place: String

    private static let space = #"\p{White_Space}"#
    private static let notSpace = #"\P{White_Space}"#
    private static let word =
        #"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}"# + ["Alphabetic", "M", "Nd", "Pc"].map(NewerCharacters.ranges).joined()
    /// Outside of a class Oniguruma counts the superscripts and fractions of Latin-1 as well.
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

    private mutating func append(_ text: String) { output.append(text) }

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

    /// Groups that mean the same in both: plain, non-capturing, look-around, atomic, and the option `i`.
    private mutating func group() throws {
        let known = ["(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:", "(?i)"]
        let rest = String(String.UnicodeScalarView(source[position..<min(position + 5, source.count)]))
        if rest.hasPrefix("(*") { throw refused("\"(*\"") }
        if rest.hasPrefix("(?") {
            guard let match = known.first(where: { rest.hasPrefix($0) }) else {
                throw refused("the group \"\(rest)\"")
            }
            append(match)
            position += match.unicodeScalars.count
        } else {
            append("(")
            position += 1
        }
    }

    private mutating func characterClass() throws {
        append("[")
        position += 1
        if peek() == "^" {
            append("^")
            position += 1
        }
        var isFirst = true
        while let scalar = peek() {
            switch scalar {
            case "]" where !isFirst:
                append("]")
                position += 1
                return
            case "]": append(#"\]"#)
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
        case "s": append(Self.space)
        case "S": append(Self.notSpace)
        case "w": append(inClass ? Self.word : "[\(Self.wordAlone)]")
        case "W" where !inClass: append("[^\(Self.wordAlone)]")
        case "d": property("p", "Nd", inClass: inClass)
        case "D": property("P", "Nd", inClass: inClass)
        case "p", "P": try property(letter, inClass: inClass)
        case "r", "n", "t", "f", "x": append("\\\(letter)")
        case "v" where !inClass: append(#"\x0b"#)
        case "A" where !inClass, "z" where !inClass: append("\\\(letter)")
        default:
            guard letter.value < 0x80, !letter.properties.isAlphabetic, letter.properties.numericType == nil else {
                throw refused("\"\\\(letter)\"\(inClass ? " in a class" : "")")
            }
            append("\\\(letter)")
        }
    }

    private mutating func property(_ letter: Unicode.Scalar, inClass: Bool) throws {
        guard peek() == "{", let end = source[position...].firstIndex(of: "}") else {
            throw refused("\"\\\(letter)\" without braces")
        }
        property(letter, String(String.UnicodeScalarView(source[(position + 1)..<end])), inClass: inClass)
        position = end + 1
    }

    /// - Parameter letter: `p`, or `P` for all other characters. That inside of a class has no way to leave newer
    ///   characters out, and no published tokenizer has it: there PCRE2's own tables decide.
    private mutating func property(_ letter: Unicode.Scalar, _ name: String, inClass: Bool) {
        let newer = NewerCharacters.ranges(of: name)
        if newer.isEmpty || (inClass && letter == "P") {
            append("\\\(letter){\(name)}")
        } else if inClass {
            append("\\p{\(name)}\(newer)")
        } else {
            append("[\(letter == "P" ? "^" : "")\\p{\(name)}\(newer)]")
        }
    }
}
