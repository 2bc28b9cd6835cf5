import OrderedJSON

/// Python's string operations and `repr`.
enum TemplateText {
    /// Whether `str.isspace` and `strip` count a character as white space.
    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x80 {
            return scalar == " " || (0x09...0x0D).contains(scalar.value) || (0x1C...0x1F).contains(scalar.value)
        }
        return scalar.properties.isWhitespace
    }

    static func isDigit(_ scalar: Unicode.Scalar) -> Bool { (0x30...0x39).contains(scalar.value) }

    static func representation(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        let text = "\(value)"
        guard abs(value) >= 1e16, !text.contains("e") else { return text }
        // Swift prints some numbers above 1e16 without an exponent, Python never.
        var digits = Array(text.drop { $0 == "-" }.prefix { $0 != "." })
        let exponent = digits.count - 1
        while digits.count > 1, digits.last == "0" { digits.removeLast() }
        let fraction = digits.count > 1 ? "." + String(digits[1...]) : ""
        return (value < 0 ? "-" : "") + String(digits[0]) + fraction + "e+\(exponent)"
    }

    static func representation(_ text: String) -> String {
        let quote: Unicode.Scalar =
            text.unicodeScalars.contains("'") && !text.unicodeScalars.contains("\"") ? "\"" : "'"
        var result = TextBuffer()
        result.append(quote)
        for scalar in text.unicodeScalars {
            switch scalar {
            case quote, "\\":
                result.append("\\" as Unicode.Scalar)
                result.append(scalar)
            case "\n": result.append("\\n")
            case "\r": result.append("\\r")
            case "\t": result.append("\\t")
            default:
                if isPrintable(scalar) {
                    result.append(scalar)
                } else {
                    let digits = String(scalar.value, radix: 16)
                    let width = scalar.value < 0x100 ? 2 : scalar.value < 0x10000 ? 4 : 8
                    let letter = width == 2 ? "x" : width == 4 ? "u" : "U"
                    let zeros = String(repeating: "0", count: width - digits.count)
                    result.append("\\\(letter)\(zeros)\(digits)")
                }
            }
        }
        result.append(quote)
        return result.text
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if scalar == " " { return true }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            return false
        default: return true
        }
    }

    static func stripped(
        _ text: String, _ characters: String?, start: Bool = true, end: Bool = true
    ) -> String {
        let scalars = Array(text.unicodeScalars)
        let set = characters.map { Set($0.unicodeScalars) }
        let isStripped = { (scalar: Unicode.Scalar) in set?.contains(scalar) ?? isSpace(scalar) }
        var first = 0
        var last = scalars.count
        if start { while first < last, isStripped(scalars[first]) { first += 1 } }
        if end { while last > first, isStripped(scalars[last - 1]) { last -= 1 } }
        return String(String.UnicodeScalarView(scalars[first..<last]))
    }

    /// Offsets of the first `limit` non-overlapping occurrences, from the left.
    static func occurrences(of needle: [UInt8], in text: [UInt8], limit: Int = .max) -> [Int] {
        guard !needle.isEmpty, needle.count <= text.count else { return [] }
        // Knuth–Morris–Pratt, which is linear for any input.
        var failure = [0]
        failure.reserveCapacity(needle.count)
        var length = 0
        for index in needle.indices.dropFirst() {
            while length > 0, needle[index] != needle[length] { length = failure[length - 1] }
            if needle[index] == needle[length] { length += 1 }
            failure.append(length)
        }
        var result: [Int] = []
        length = 0
        for index in text.indices where result.count < limit {
            while length > 0, text[index] != needle[length] { length = failure[length - 1] }
            if text[index] == needle[length] { length += 1 }
            if length == needle.count {
                result.append(index + 1 - needle.count)
                length = 0
            }
        }
        return result
    }

    static func contains(_ needle: String, in text: String) -> Bool {
        needle.utf8.isEmpty || !occurrences(of: Array(needle.utf8), in: Array(text.utf8), limit: 1).isEmpty
    }

    /// `str.split` with a separator and at most `limit` splits.
    static func split(_ text: String, by separator: String, limit: Int) -> [String] {
        let bytes = Array(text.utf8)
        let needle = Array(separator.utf8)
        var result: [String] = []
        var start = 0
        for position in occurrences(of: needle, in: bytes, limit: limit) {
            result.append(String(decoding: bytes[start..<position], as: UTF8.self))
            start = position + needle.count
        }
        result.append(String(decoding: bytes[start...], as: UTF8.self))
        return result
    }

    /// `str.rsplit` with a separator and at most `limit` splits.
    static func splitFromRight(_ text: String, by separator: String, limit: Int) -> [String] {
        let bytes = Array(text.utf8)
        let needle = Array(separator.utf8)
        // Searching the reversed texts finds occurrences from the right.
        let reversed = occurrences(of: needle.reversed(), in: bytes.reversed(), limit: limit)
        var result: [String] = []
        var end = bytes.count
        for position in reversed {
            let start = bytes.count - position - needle.count
            result.append(String(decoding: bytes[start + needle.count..<end], as: UTF8.self))
            end = start
        }
        result.append(String(decoding: bytes[..<end], as: UTF8.self))
        return result.reversed()
    }

    /// `str.split` at runs of white space with at most `limit` splits.
    static func splitAtSpace(_ text: String, limit: Int) -> [String] {
        var result: [String] = []
        var rest = Array(text.unicodeScalars)[...]
        while true {
            rest = rest.drop(while: isSpace)
            guard !rest.isEmpty else { return result }
            if result.count == limit {
                result.append(String(String.UnicodeScalarView(rest)))
                return result
            }
            let word = rest.prefix { !isSpace($0) }
            result.append(String(String.UnicodeScalarView(word)))
            rest = rest.dropFirst(word.count)
        }
    }

    static func replaced(_ text: String, _ old: String, _ new: String, limit: Int) -> String {
        if old.utf8.isEmpty {
            var result = TextBuffer()
            var left = limit
            for scalar in text.unicodeScalars {
                if left > 0 { result.append(new) }
                left -= 1
                result.append(scalar)
            }
            if left > 0 { result.append(new) }
            return result.text
        }
        return split(text, by: old, limit: limit).joined(separator: new)
    }

    /// `str.splitlines()`.
    static func lines(_ text: String) -> [String] {
        var result: [String] = []
        var line = String.UnicodeScalarView()
        var previousWasReturn = false
        var isOpen = false
        for scalar in text.unicodeScalars {
            defer { previousWasReturn = scalar == "\r" }
            switch scalar {
            case "\n" where previousWasReturn: continue
            case "\n", "\r", "\u{B}", "\u{C}", "\u{1C}", "\u{1D}", "\u{1E}", "\u{85}", "\u{2028}", "\u{2029}":
                result.append(String(line))
                line = .init()
                isOpen = false
            default:
                line.append(scalar)
                isOpen = true
            }
        }
        if isOpen { result.append(String(line)) }
        return result
    }

    /// The result of `upper`, `lower`, `capitalize` or `title`; nil for another name.
    static func recased(_ text: String, by name: String) -> String? {
        switch name {
        case "upper": text.uppercased()
        case "lower": text.lowercased()
        case "capitalize": capitalized(text)
        case "title": titled(text)
        default: nil
        }
    }

    /// `str.capitalize`.
    private static func capitalized(_ text: String) -> String {
        guard let first = text.unicodeScalars.first else { return "" }
        return first.properties.titlecaseMapping
            + String(String.UnicodeScalarView(text.unicodeScalars.dropFirst())).lowercased()
    }

    /// `str.title`.
    private static func titled(_ text: String) -> String {
        var result = ""
        var previousIsCased = false
        for scalar in text.unicodeScalars {
            let properties = scalar.properties
            result += previousIsCased ? properties.lowercaseMapping : properties.titlecaseMapping
            previousIsCased = properties.isCased
        }
        return result
    }
}
