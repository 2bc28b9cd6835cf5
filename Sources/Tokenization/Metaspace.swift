import OrderedJSON

/// SentencePiece's form of spaces: each becomes a visible character, and one may be put in front of the text.
struct Metaspace: Sendable {
    enum PrependScheme: String, Sendable {
        case first, never, always
    }

    /// One character in UTF-8, usually U+2581.
    let replacement: [UInt8]
    let scheme: PrependScheme
    /// Whether every replacement starts a pre-token.
    let splits: Bool

    /// Reads the members of a pre-tokenizer or decoder, current (`prepend_scheme`) or old (`add_prefix_space`).
    init(_ reader: inout StrictObjectReader) throws {
        let character = try reader.string("replacement")
        guard character.unicodeScalars.count == 1 else {
            throw TokenizerError.malformed(place: reader.place, reason: "the replacement is not one character")
        }
        replacement = Array(character.utf8)
        let addsPrefix = try reader.optional("add_prefix_space").map { _ in
            try reader.bool("add_prefix_space", default: true)
        }
        if let name = reader.optional("prepend_scheme") {
            guard let scheme = name.string.flatMap(PrependScheme.init) else {
                throw reader.unsupported("a prepend_scheme other than first, never and always")
            }
            guard addsPrefix != false || scheme == .never else {
                throw TokenizerError.malformed(
                    place: reader.place, reason: "add_prefix_space is false, but prepend_scheme is \(scheme.rawValue)")
            }
            self.scheme = scheme
        } else {
            scheme = addsPrefix ?? true ? .always : .never
        }
        splits = try reader.bool("split", default: true)
        reader.ignore("str_rep")
    }

    /// Replaces the spaces of every pre-token and splits it.
    func apply(to preTokens: inout PreTokens) {
        preTokens.rewrite { old, position, result in
            let startsWithMark = old.first == UInt8(ascii: " ") || old.starts(with: replacement)
            let getsPrefix = scheme == .always && position != .afterText || scheme == .first && position == .start
            if getsPrefix, !startsWithMark { result += replacement }
            for byte in old {
                if byte == UInt8(ascii: " ") { result += replacement } else { result.append(byte) }
            }
        }
        guard splits else { return }
        preTokens.split(.mergedWithNext, inverted: false) { text, body in
            SplitMatcher.literal(replacement).forEachMatch(in: text, body)
        }
    }

    /// Turns the marks in tokens back into spaces; the first token loses its marks if one was put in front.
    func decode(_ tokens: [String]) -> [String] {
        guard let mark = String(decoding: replacement, as: UTF8.self).unicodeScalars.first else { return tokens }
        return tokens.enumerated().map { index, token in
            let dropsMarks = index == 0 && scheme != .never
            var result = String.UnicodeScalarView()
            for scalar in token.unicodeScalars {
                if scalar != mark { result.append(scalar) } else if !dropsMarks { result.append(" ") }
            }
            return String(result)
        }
    }
}
