import OrderedJSON

/// A normalization step, which rewrites the text before pre-tokenization.
enum Normalizer: Sendable {
    case form(NormalForm)
    case precompiled(PrecompiledCharsmap)
    case strip(left: Bool, right: Bool)
    case lowercase
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
        case "NFC", "NFD", "NFKC", "NFKD": result = NormalForm(rawValue: type).map { [.form($0)] } ?? []
        case "Precompiled":
            let text = try reader.string("precompiled_charsmap")
            result = [.precompiled(try PrecompiledCharsmap(text, at: place + ".precompiled_charsmap"))]
        case "Strip":
            result = [
                .strip(
                    left: try reader.bool("strip_left", default: true),
                    right: try reader.bool("strip_right", default: true))
            ]
        case "Lowercase": result = [.lowercase]
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
            // How much longer a text can become in UTF-8 (Unicode's annex 15).
            case .form(.nfc), .form(.nfd), .lowercase: length *= 3
            case .form(.nfkc), .form(.nfkd): length *= 11
            case .precompiled(let charsmap): length *= charsmap.growth
            case .strip: break
            case .prepend(let prefix): length += Double(prefix.count)
            case .replace(.literal(let needle), let replacement):
                length *= max(1, Double(replacement.count) / Double(max(1, needle.count)))
            case .replace(.pattern(let pattern), let replacement):
                let minimum = Double(pattern.minimumByteCount)
                // An expression may match the empty text before every byte.
                length *= minimum == 0 ? 1 + Double(replacement.count) : max(1, Double(replacement.count) / minimum)
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
        case .form(let form): return form.apply(to: text)
        case .precompiled(let charsmap): return charsmap.apply(to: text)
        case .strip(let left, let right): return Self.stripped(text, left: left, right: right)
        case .lowercase:
            return String(decoding: text, as: UTF8.self).unicodeScalars.reduce(into: []) { result, scalar in
                result += scalar.properties.lowercaseMapping.utf8
            }
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

    /// Longer runs of marks are not looked at for `leadingCount`.
    private static let markByteCount = 256

    private static func stripped(_ text: [UInt8], left: Bool, right: Bool) -> [UInt8] {
        var scalars = String(decoding: text, as: UTF8.self).unicodeScalars[...]
        while left, let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
        while right, let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
        return Array(String(scalars).utf8)
    }

    /// How many leading bytes of the result stem from the first character of the original; see `Metaspace`.
    ///
    /// - Parameters:
    ///   - text: what the step is applied to.
    ///   - count: how many leading bytes of `text` do.
    /// - Returns: the number of bytes.
    func leadingCount(in text: [UInt8], _ count: Int) -> Int {
        guard count > 0 else { return 0 }
        switch self {
        case .lowercase: return apply(to: Array(text.prefix(count))).count
        case .form:
            let alone = apply(to: Array(text.prefix(count)))
            // Marks of the next character may move before those of the first.
            var end = min(text.count, count + Self.markByteCount)
            while end < text.count, text[end] & 0xC0 == 0x80 { end += 1 }
            let kept = zip(alone, apply(to: Array(text.prefix(end)))).prefix { $0 == $1 }.count
            return kept == 0 ? alone.count : kept
        case .precompiled:
            let kept = apply(to: Array(text.prefix(count))).count
            // If the first character is removed, the next one that is kept takes its place.
            guard kept == 0, let first = apply(to: text).first else { return kept }
            return UTF8Scan.length(ofLead: first)
        case .strip(let left, _):
            return max(0, count - (left ? text.count - Self.stripped(text, left: true, right: false).count : 0))
        case .prepend(let prefix): return prefix.count + count
        case .replace(let matcher, let replacement):
            var match: Range<Int>?
            text.withUnsafeBufferPointer { matcher.forEachMatch(in: $0) { found in match = match ?? found } }
            guard let match, match.lowerBound < count, !match.isEmpty else { return count }
            // A replacement counts as the last character of the match.
            guard match.upperBound <= count else { return match.lowerBound }
            return count - match.count + replacement.count
        }
    }
}
