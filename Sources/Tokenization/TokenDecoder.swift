import OrderedJSON

/// A decoding step, which turns tokens back into text.
enum TokenDecoder: Sendable {
    case byteLevel
    case byteFallback
    case fuse
    case metaspace(Metaspace)
    case strip(Unicode.Scalar, start: Int, stop: Int)
    case replace(SplitMatcher, with: [UInt8])

    /// Reads a decoder and flattens sequences.
    static func read(_ json: JSON, at place: String) throws -> [TokenDecoder] {
        var reader = try StrictObjectReader(json, at: place)
        let type = try reader.string("type")
        let result: [TokenDecoder]
        switch type {
        case "Sequence":
            result = try reader.array("decoders").enumerated().flatMap { index, part in
                try read(part, at: "\(place).decoders[\(index)]")
            }
        case "ByteLevel":
            reader.ignore("add_prefix_space", "trim_offsets", "use_regex")
            result = [.byteLevel]
        case "ByteFallback": result = [.byteFallback]
        case "Fuse": result = [.fuse]
        case "Metaspace": result = [.metaspace(try Metaspace(&reader))]
        case "Strip":
            let content = try reader.string("content")
            let (start, stop) = (try reader.integer("start"), try reader.integer("stop"))
            guard content.unicodeScalars.count == 1, let scalar = content.unicodeScalars.first, start >= 0, stop >= 0
            else {
                throw TokenizerError.malformed(place: place, reason: "Strip needs one character and two counts")
            }
            result = [.strip(scalar, start: start, stop: stop)]
        case "Replace":
            let matcher = try SplitMatcher.read(reader.optional("pattern"), at: place + ".pattern")
            result = [.replace(matcher, with: Array(try reader.string("content").utf8))]
        default: throw reader.unsupported("the decoder \"\(type.prefix(60))\"")
        }
        try reader.finish()
        return result
    }

    /// Applies the step to the texts of tokens or to the output of earlier steps.
    func apply(to tokens: [String]) -> [String] {
        switch self {
        case .byteLevel:
            var bytes: [UInt8] = []
            for token in tokens { bytes += ByteLevelAlphabet.bytes(of: token) ?? Array(token.utf8) }
            return [String(decoding: bytes, as: UTF8.self)]
        case .byteFallback: return Self.joinBytes(tokens)
        case .fuse: return [tokens.joined()]
        case .metaspace(let metaspace): return metaspace.decode(tokens)
        case .strip(let scalar, let start, let stop):
            return tokens.map { Self.strip($0, scalar, start: start, stop: stop) }
        case .replace:
            guard let replacement else { return tokens }
            return tokens.map { String(decoding: replacement.apply(to: Array($0.utf8)), as: UTF8.self) }
        }
    }

    /// The text of one token inside a longer text, where no step strips its leading space.
    static func text(of token: String, _ decoders: [TokenDecoder]) -> String {
        func decoded(_ tokens: [String]) -> String { decoders.reduce(tokens) { $1.apply(to: $0) }.joined() }
        let alone = decoded([token])
        // A byte's text depends on its neighbours.
        if case .byteLevel? = decoders.first { return alone }
        guard byte(of: token) == nil else { return alone }
        return String(decoding: decoded([token, token]).utf8.dropFirst(alone.utf8.count), as: UTF8.self)
    }

    /// The step as a normalizer, if it replaces text.
    var replacement: Normalizer? {
        if case .replace(let matcher, let content) = self { .replace(matcher, with: content) } else { nil }
    }

    /// The byte of a token of the form `<0xHH>`.
    static func byte(of token: String) -> UInt8? {
        let text = Array(token.utf8)
        guard text.count == 6, text.starts(with: "<0x".utf8), text[5] == UInt8(ascii: ">") else { return nil }
        return UInt8(String(decoding: text[3..<5], as: UTF8.self), radix: 16)
    }

    /// Decodes runs of `<0xHH>` tokens; a run that is not valid UTF-8 becomes one U+FFFD per byte.
    private static func joinBytes(_ tokens: [String]) -> [String] {
        var result: [String] = []
        var run: [UInt8] = []
        func flush() {
            guard !run.isEmpty else { return }
            if let text = String(validating: run, as: UTF8.self) {
                result.append(text)
            } else {
                result += repeatElement("\u{FFFD}", count: run.count)
            }
            run.removeAll()
        }
        for token in tokens {
            if let byte = byte(of: token) {
                run.append(byte)
            } else {
                flush()
                result.append(token)
            }
        }
        flush()
        return result
    }

    /// Removes up to `start` leading and `stop` trailing occurrences.
    private static func strip(_ token: String, _ scalar: Unicode.Scalar, start: Int, stop: Int) -> String {
        let scalars = Array(token.unicodeScalars)
        var first = 0
        while first < min(start, scalars.count), scalars[first] == scalar { first += 1 }
        var last = scalars.count
        while scalars.count - last < stop, last > first, scalars[last - 1] == scalar { last -= 1 }
        return String(String.UnicodeScalarView(scalars[first..<last]))
    }
}
