import OrderedJSON

/// A pre-tokenization step, which splits the text into pre-tokens; BPE never merges across their boundaries.
enum PreTokenizer: Sendable {
    /// GPT-2's step: an optional leading space and an optional split by pattern; the model then reads raw bytes.
    case byteLevel(addsPrefixSpace: Bool, pattern: SplitPattern?)
    case split(SplitMatcher, SplitBehavior, inverted: Bool)
    case digits(individual: Bool)
    case whitespace(SplitPattern)
    case whitespaceSplit
    case metaspace(Metaspace)
    case punctuation(SplitBehavior)

    /// The pattern of GPT-2.
    static let byteLevelPattern = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    /// `\w+|[^\w\s]+` with the word characters of UTS #18.
    static let whitespacePattern: String = {
        let word = #"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}"#
        return #"[\#(word)]+|[^\#(word)\s]+"#
    }()

    /// Reads a pre-tokenizer and flattens sequences.
    static func read(_ json: JSON, at place: String) throws -> [PreTokenizer] {
        var reader = try StrictObjectReader(json, at: place)
        let type = try reader.string("type")
        switch type {
        case "Sequence":
            let parts = try reader.array("pretokenizers")
            try reader.finish()
            var steps: [PreTokenizer] = []
            for (index, part) in parts.enumerated() {
                if case .byteLevel? = steps.last {
                    throw reader.unsupported("a pre-tokenizer after ByteLevel")
                }
                steps += try read(part, at: "\(place).pretokenizers[\(index)]")
            }
            return steps
        case "ByteLevel":
            let addsPrefixSpace = try reader.bool("add_prefix_space", default: true)
            let usesPattern = try reader.bool("use_regex", default: true)
            reader.ignore("trim_offsets")
            try reader.finish()
            let pattern = usesPattern ? try SplitPattern(byteLevelPattern, at: place) : nil
            return [.byteLevel(addsPrefixSpace: addsPrefixSpace, pattern: pattern)]
        case "Split":
            let matcher = try SplitMatcher.read(reader.optional("pattern"), at: place + ".pattern")
            let behavior = try SplitBehavior.read(reader.string("behavior"), at: place)
            let inverted = try reader.bool("invert", default: false)
            try reader.finish()
            return [.split(matcher, behavior, inverted: inverted)]
        case "Digits":
            let individual = try reader.bool("individual_digits", default: false)
            try reader.finish()
            return [.digits(individual: individual)]
        case "Whitespace":
            try reader.finish()
            return [.whitespace(try SplitPattern(whitespacePattern, at: place))]
        case "WhitespaceSplit":
            try reader.finish()
            return [.whitespaceSplit]
        case "Metaspace":
            let metaspace = try Metaspace(&reader)
            try reader.finish()
            return [.metaspace(metaspace)]
        case "Punctuation":
            let behavior = try reader.optional("behavior").map { json in
                try SplitBehavior.read(json.string ?? json.kindName, at: place)
            }
            try reader.finish()
            return [.punctuation(behavior ?? .isolated)]
        default: throw reader.unsupported("the pre-tokenizer \"\(type.prefix(60))\"")
        }
    }

    /// The pattern that the step matches, if it has one.
    var splitPattern: SplitPattern? {
        switch self {
        case .byteLevel(_, let pattern): pattern
        case .split(.pattern(let pattern), _, _), .whitespace(let pattern): pattern
        case .split, .digits, .punctuation, .whitespaceSplit, .metaspace: nil
        }
    }

    /// Whether the step treats the start of the whole text differently.
    var dependsOnStart: Bool {
        if case .metaspace(let metaspace) = self { metaspace.scheme == .first } else { false }
    }

    /// Splits every pre-token further.
    func apply(to preTokens: inout PreTokens) {
        switch self {
        case .byteLevel(let addsPrefixSpace, let pattern):
            if addsPrefixSpace { preTokens.addPrefixSpaces() }
            guard let pattern else { return }
            preTokens.split(.isolated, inverted: false) { text, body in pattern.forEachMatch(in: text, body) }
        case .split(let matcher, let behavior, let inverted):
            preTokens.split(behavior, inverted: inverted) { text, body in matcher.forEachMatch(in: text, body) }
        case .digits(let individual):
            preTokens.split(individual ? .isolated : .contiguous, inverted: false) { text, body in
                Self.forEachScalar(in: text, where: Self.isNumeric, body)
            }
        case .whitespace(let pattern):
            preTokens.split(.removed, inverted: true) { text, body in pattern.forEachMatch(in: text, body) }
        case .whitespaceSplit:
            preTokens.split(.removed, inverted: false) { text, body in
                Self.forEachScalar(in: text, where: \.properties.isWhitespace, body)
            }
        case .metaspace(let metaspace): metaspace.apply(to: &preTokens)
        case .punctuation(let behavior):
            preTokens.split(behavior, inverted: false) { text, body in
                Self.forEachScalar(in: text, where: Self.isPunctuation, body)
            }
        }
    }

    @inline(__always)
    private static func forEachScalar(
        in text: UnsafeBufferPointer<UInt8>, where predicate: (Unicode.Scalar) -> Bool, _ body: (Range<Int>) -> Void
    ) {
        var position = 0
        while position < text.count {
            let (scalar, length) = UTF8Scan.scalar(text, at: position)
            if predicate(scalar) { body(position..<position + length) }
            position += length
        }
    }

    /// Whether a character belongs to one of the general categories Nd, Nl and No.
    private static func isNumeric(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x80 { return scalar.value >= 0x30 && scalar.value <= 0x39 }
        switch scalar.properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: return true
        default: return false
        }
    }

    /// Whether a character is ASCII punctuation or symbol, or punctuation in Unicode 8, as in the `tokenizers` library.
    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
        case 0..<0x80: return false
        // No longer punctuation in newer versions.
        case 0x166D, 0x111C9: return true
        default: break
        }
        guard (scalar.properties.age?.major ?? 0) <= 8 else { return false }
        switch scalar.properties.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            return true
        default: return false
        }
    }
}

/// The literal or pattern that a `Split` or `Replace` matches.
enum SplitMatcher: Sendable {
    case literal([UInt8])
    case pattern(SplitPattern)

    /// Reads `{"String": …}` or `{"Regex": …}`.
    static func read(_ json: JSON?, at place: String) throws -> SplitMatcher {
        guard let members = json?.object, members.count == 1, let (kind, value) = members.first(where: { _ in true }),
            let text = value.string
        else {
            throw TokenizerError.malformed(place: place, reason: "is neither {\"String\": …} nor {\"Regex\": …}")
        }
        switch kind {
        case "String": return .literal(Array(text.utf8))
        case "Regex": return .pattern(try SplitPattern(text, at: place))
        default: throw TokenizerError.unsupported(place: place, what: "a pattern of kind \"\(kind.prefix(60))\"")
        }
    }

    func forEachMatch(in text: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>) -> Void) {
        switch self {
        case .pattern(let pattern): pattern.forEachMatch(in: text, body)
        case .literal(let needle):
            guard let first = needle.first, text.count >= needle.count else { return }
            var position = 0
            while position <= text.count - needle.count {
                if text[position] == first, text[position..<position + needle.count].elementsEqual(needle) {
                    body(position..<position + needle.count)
                    position += needle.count
                } else {
                    position += 1
                }
            }
        }
    }
}

/// What a split does with its matches, named as in the `tokenizers` library.
enum SplitBehavior: Sendable {
    case removed, isolated, mergedWithPrevious, mergedWithNext, contiguous

    static func read(_ name: String, at place: String) throws -> SplitBehavior {
        switch name {
        case "Removed": return .removed
        case "Isolated": return .isolated
        case "MergedWithPrevious": return .mergedWithPrevious
        case "MergedWithNext": return .mergedWithNext
        case "Contiguous": return .contiguous
        default: throw TokenizerError.unsupported(place: place, what: "the behavior \"\(name.prefix(60))\"")
        }
    }
}
