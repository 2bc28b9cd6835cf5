import OrderedJSON
@_spi(_Unicode) import Swift

/// One step that rewrites the text before it is cut.
enum Normalizer: Sendable {
    case nfc
    case replace(SplitMatcher, with: [UInt8])
    case prepend([UInt8])

    /// Reads a normalizer; a sequence comes out flat.
    static func read(_ json: JSON, at place: String) throws -> [Normalizer] {
        var component = try Component(json, at: place)
        let type = try component.string("type")
        let result: [Normalizer]
        switch type {
        case "Sequence":
            result = try component.array("normalizers").enumerated().flatMap { index, part in
                try read(part, at: "\(place).normalizers[\(index)]")
            }
        case "NFC": result = [.nfc]
        case "Replace":
            let matcher = try SplitMatcher.read(component.optional("pattern"), at: place + ".pattern")
            result = [.replace(matcher, with: Array(try component.string("content").utf8))]
        case "Prepend": result = [.prepend(Array(try component.string("prepend").utf8))]
        default: throw component.unsupported("the normalizer \"\(type.prefix(60))\"")
        }
        try component.finish()
        return result
    }

    /// - Parameter text: valid UTF-8.
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

    /// NFC of Unicode 9, which is what the reference has: a newer character neither moves nor composes, so the text on
    /// either side of it is normalized by itself.
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

    /// Tibetan vowels that start nothing but are made of marks. The standard library does not order those among marks in
    /// front of them; written as their parts it does, and no normal form writes them otherwise.
    private static func parts(of scalar: Unicode.Scalar) -> String? {
        switch scalar {
        case "\u{F73}": "\u{F71}\u{F72}"
        case "\u{F75}": "\u{F71}\u{F74}"
        case "\u{F81}": "\u{F71}\u{F80}"
        default: nil
        }
    }

    private static func appendComposed(_ text: String, to result: inout [UInt8]) {
        // The standard library's own normal form, which it compares strings by. Foundation's on Linux is wrong
        // for some Hangul and for marks newer than its tables.
        for scalar in text._nfc {
            result.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }

    /// Whether a character that may take part in NFC came after Unicode 9.
    private static func isNewer(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        // Nothing new that combines: before the first mark, symbols to Han, Hangul.
        case ..<0x7FD, 0x2E00..<0xA800, 0xAC00..<0xD7A4: return false
        default: return (scalar.properties.age?.major ?? 0) > 9
        }
    }
}
