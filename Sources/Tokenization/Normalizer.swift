import OrderedJSON
@_spi(_Unicode) import Swift

/// A normalization step, which rewrites the text before pre-tokenization.
enum Normalizer: Sendable {
    case nfc
    case replace(SplitMatcher, with: [UInt8])
    case prepend([UInt8])

    /// Reads a normalizer and flattens sequences.
    static func read(_ json: JSON, at place: String) throws -> [Normalizer] {
        var reader = try StrictObjectReader(json, at: place)
        let type = try reader.string("type")
        let result: [Normalizer]
        switch type {
        case "Sequence":
            result = try reader.array("normalizers").enumerated().flatMap { index, part in
                try read(part, at: "\(place).normalizers[\(index)]")
            }
        case "NFC": result = [.nfc]
        case "Replace":
            let matcher = try SplitMatcher.read(reader.optional("pattern"), at: place + ".pattern")
            result = [.replace(matcher, with: Array(try reader.string("content").utf8))]
        case "Prepend": result = [.prepend(Array(try reader.string("prepend").utf8))]
        default: throw reader.unsupported("the normalizer \"\(type.prefix(60))\"")
        }
        try reader.finish()
        return result
    }

    /// The pattern that the step matches, if it has one.
    var splitPattern: SplitPattern? {
        if case .replace(.pattern(let pattern), _) = self { pattern } else { nil }
    }

    /// The most bytes that all steps together may make of one byte; real tokenizers stay under 50.
    private static let maximumGrowth = 100.0

    /// Checks that the steps cannot make a text too long: a few that each double it would exhaust the memory.
    ///
    /// - Throws: `TokenizerError.unsupported`.
    static func checkGrowth(_ steps: [Normalizer], at place: String) throws {
        var length = 1.0
        for step in steps {
            switch step {
            // The composed form of a character is at most three times as long in UTF-8 (Unicode's annex 15).
            case .nfc: length *= 3
            case .prepend(let prefix): length += Double(prefix.count)
            case .replace(.literal(let needle), let replacement):
                length *= max(1, Double(replacement.count) / Double(max(1, needle.count)))
            // An expression may match before every byte.
            case .replace(.pattern, let replacement): length *= 1 + Double(replacement.count)
            }
        }
        guard length <= maximumGrowth else {
            throw TokenizerError.unsupported(
                place: place,
                what: "a sequence of steps that can make a text more than \(Int(maximumGrowth)) times as long")
        }
    }

    /// Normalizes valid UTF-8.
    func apply(to text: [UInt8]) -> [UInt8] {
        switch self {
        case .nfc:
            // Nothing below U+0300 composes or decomposes under NFC.
            guard text.contains(where: { $0 >= 0xCC }) else { return text }
            return Self.composed(text)
        case .prepend(let prefix): return text.isEmpty ? text : prefix + text
        case .replace(let matcher, let replacement):
            var result: [UInt8] = []
            result.reserveCapacity(text.count)
            text.withUnsafeBufferPointer { buffer in
                var end = 0
                matcher.forEachMatch(in: buffer) { match in
                    result.append(contentsOf: buffer[end..<match.lowerBound])
                    result.append(contentsOf: replacement)
                    end = match.upperBound
                }
                result.append(contentsOf: buffer[end...])
            }
            return result
        }
    }

    /// NFC as of Unicode 9, which the `tokenizers` library uses.
    ///
    /// Newer characters neither reorder nor compose, so the text on either side of one is normalized separately.
    private static func composed(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        let whole = String(decoding: text, as: UTF8.self)
        guard whole.unicodeScalars.contains(where: { isNewer($0) || parts(of: $0) != nil }) else {
            appendComposed(whole, to: &result)
            return result
        }
        var known = String.UnicodeScalarView()
        for scalar in whole.unicodeScalars {
            if let parts = parts(of: scalar) {
                known.append(contentsOf: parts.unicodeScalars)
                continue
            }
            guard isNewer(scalar) else {
                known.append(scalar)
                continue
            }
            appendComposed(String(known), to: &result)
            known.removeAll(keepingCapacity: true)
            result.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
        appendComposed(String(known), to: &result)
        return result
    }

    /// The decomposition of Tibetan vowel signs that consist of combining marks.
    ///
    /// The standard library does not order the composed form among preceding marks; it does order the parts.
    private static func parts(of scalar: Unicode.Scalar) -> String? {
        switch scalar {
        case "\u{F73}": "\u{F71}\u{F72}"
        case "\u{F75}": "\u{F71}\u{F74}"
        case "\u{F81}": "\u{F71}\u{F80}"
        default: nil
        }
    }

    private static func appendComposed(_ text: String, to result: inout [UInt8]) {
        // The normal form by which the standard library compares strings. Foundation's NFC on Linux is wrong for some
        // Hangul and for marks newer than its tables.
        for scalar in text._nfc {
            result.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }

    /// Whether a character was added after Unicode 9 and may take part in NFC.
    private static func isNewer(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        // These blocks gained no combining characters: below the first mark, symbols to Han, Hangul.
        case ..<0x7FD, 0x2E00..<0xA800, 0xAC00..<0xD7A4: return false
        default: return (scalar.properties.age?.major ?? 0) > 9
        }
    }
}
