import OrderedJSON

/// One step that cuts a text into pieces; BPE never merges across a cut.
enum PreTokenizer: Sendable {
    /// The GPT-2 step: a space in front if wanted, then its pattern if wanted. What follows sees bytes.
    case byteLevel(addsPrefixSpace: Bool, pattern: SplitPattern?)
    case split(SplitMatcher, SplitBehavior, inverted: Bool)
    case digits(individual: Bool)
    case whitespace(SplitPattern)
    case punctuation(SplitBehavior)

    /// The pattern of GPT-2.
    static let byteLevelPattern = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    /// `\w+|[^\w\s]+`, where a word character is that of UTS #18.
    private static let whitespacePattern: String = {
        let word = #"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}"#
        return #"[\#(word)]+|[^\#(word)\s]+"#
    }()

    /// Reads a pre-tokenizer; a sequence comes out flat.
    static func read(_ json: JSON, at place: String) throws -> [PreTokenizer] {
        var component = try Component(json, at: place)
        let type = try component.string("type")
        switch type {
        case "Sequence":
            let parts = try component.array("pretokenizers")
            try component.finish()
            var steps: [PreTokenizer] = []
            for (index, part) in parts.enumerated() {
                if case .byteLevel? = steps.last {
                    throw component.unsupported("a pre-tokenizer behind ByteLevel")
                }
                steps += try read(part, at: "\(place).pretokenizers[\(index)]")
            }
            return steps
        case "ByteLevel":
            let addsPrefixSpace = try component.bool("add_prefix_space", default: true)
            let usesPattern = try component.bool("use_regex", default: true)
            component.ignore("trim_offsets")
            try component.finish()
            let pattern = usesPattern ? try SplitPattern(byteLevelPattern, at: place) : nil
            return [.byteLevel(addsPrefixSpace: addsPrefixSpace, pattern: pattern)]
        case "Split":
            let matcher = try SplitMatcher.read(component.optional("pattern"), at: place + ".pattern")
            let behavior = try SplitBehavior.read(component.string("behavior"), at: place)
            let inverted = try component.bool("invert", default: false)
            try component.finish()
            return [.split(matcher, behavior, inverted: inverted)]
        case "Digits":
            let individual = try component.bool("individual_digits", default: false)
            try component.finish()
            return [.digits(individual: individual)]
        case "Whitespace":
            try component.finish()
            return [.whitespace(try SplitPattern(whitespacePattern, at: place))]
        case "Punctuation":
            let behavior = try component.optional("behavior").map { json in
                try SplitBehavior.read(json.string ?? json.kindName, at: place)
            }
            try component.finish()
            return [.punctuation(behavior ?? .isolated)]
        default: throw component.unsupported("the pre-tokenizer \"\(type.prefix(60))\"")
        }
    }

    /// Cuts every piece further.
    func apply(to pieces: inout Pieces) {
        switch self {
        case .byteLevel(let addsPrefixSpace, let pattern):
            if addsPrefixSpace { pieces.addPrefixSpaces() }
            guard let pattern else { return }
            pieces.split(.isolated, inverted: false) { text, body in pattern.forEachMatch(in: text, body) }
        case .split(let matcher, let behavior, let inverted):
            pieces.split(behavior, inverted: inverted) { text, body in matcher.forEachMatch(in: text, body) }
        case .digits(let individual):
            pieces.split(individual ? .isolated : .contiguous, inverted: false) { text, body in
                Self.forEachScalar(in: text, where: Self.isNumeric, body)
            }
        case .whitespace(let pattern):
            pieces.split(.removed, inverted: true) { text, body in pattern.forEachMatch(in: text, body) }
        case .punctuation(let behavior):
            pieces.split(behavior, inverted: false) { text, body in
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

    /// Decimal digits, letter-like numbers and other numbers.
    private static func isNumeric(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x80 { return scalar.value >= 0x30 && scalar.value <= 0x39 }
        switch scalar.properties.generalCategory {
        case .decimalNumber, .letterNumber, .otherNumber: return true
        default: return false
        }
    }

    /// ASCII punctuation (with the symbols among it) and what was punctuation in Unicode 8, which is what the reference
    /// asks.
    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
        case 0..<0x80: return false
        // No punctuation any more.
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

/// What a `Split` looks for.
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

/// What becomes of the matches of a split; named as in the `tokenizers` library.
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
