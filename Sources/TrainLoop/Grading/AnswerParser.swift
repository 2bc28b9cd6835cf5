/// The text does not match the grammar of answers; it is then compared as text.
struct UnreadableAnswer: Error {}

/// A recursive-descent parser for answers: lists, unions and relations of values.
///
/// The nesting depth is bounded, and every step consumes a token. Brackets, sets and matrices are in
/// `AnswerParser+Structures`, arithmetic in `AnswerParser+Expressions`, numbers, variables and commands in
/// `AnswerParser+Primaries`.
struct AnswerParser {
    let lexemes: [AnswerLexer.Lexeme]
    var position = 0
    /// An expression in brackets that is already parsed and is the next primary.
    var pendingPrimary: MathExpression?
    /// The number of digits already taken from the current number token: `\frac12` is one half.
    var takenDigits = 0
    /// Reads `±` as minus and `∓` as plus.
    var plusMinusIsMinus = false
    /// Whether a colon stands before the condition of a set.
    var colonEndsValue = false
    /// Whether a bar closes an absolute value or stands before the condition of a set.
    var barEndsValue = false
    private var depth = 0
    private static let maximumDepth = 40

    private init(_ lexemes: [AnswerLexer.Lexeme]) { self.lexemes = lexemes }

    /// Parses a text; the value is plain text if it does not match the grammar.
    static func value(_ text: String, joinsThousands: Bool) -> (value: AnswerValue, hasAmbiguousCommas: Bool) {
        let lexer = AnswerLexer(escapedOnce(text), joinsThousands: joinsThousands)
        var lexemes = lexer.lexemes
        while let last = lexemes.last?.token, last == .symbol(".") || last == .symbol(",") { lexemes.removeLast() }
        return (value(lexemes) ?? labelled(lexemes) ?? .plainText(text), lexer.hasAmbiguousCommas)
    }

    /// The text with one backslash before each command, where escaping twice left two; matrices have line breaks.
    static func escapedOnce(_ text: String) -> String {
        guard text.containsBytes(of: #"\\"#), !text.containsBytes(of: "begin") else { return text }
        let bytes = Array(text.utf8)
        let backslash = UInt8(ascii: "\\")
        let kept = bytes.indices.filter { index in
            bytes[index] != backslash || index + 2 >= bytes.count || bytes[index + 1] != backslash
                || (bytes[index + 2] | 0x20) &- 97 >= 26 || (index > 0 && bytes[index - 1] == backslash)
        }
        return String(decoding: kept.map { bytes[$0] }, as: UTF8.self)
    }

    private static func value(_ lexemes: [AnswerLexer.Lexeme]) -> AnswerValue? {
        var parser = AnswerParser(lexemes)
        guard let value = try? parser.parseList(), parser.position == lexemes.count else { return nil }
        return value
    }

    /// The value after the last equals sign, behind a label that the grammar does not have: `P(A \cap B) = 1/3`.
    private static func labelled(_ lexemes: [AnswerLexer.Lexeme]) -> AnswerValue? {
        var depth = 0
        var last: Int?
        for (index, lexeme) in lexemes.enumerated() {
            switch lexeme.token {
            case .symbol("("), .symbol("["), .symbol("{"), .command("{"), .command("begin"): depth += 1
            case .symbol(")"), .symbol("]"), .symbol("}"), .command("}"), .command("end"): depth -= 1
            case .symbol("=") where depth == 0: last = index
            // A list of several statements is more than its last value.
            case .symbol(","), .symbol(";"): if depth == 0 { return nil }
            case .word(let word): if depth == 0, isConjunction(word) { return nil }
            default: break
            }
        }
        guard let last, last > 0, isLabel(lexemes[0].token), let value = value(Array(lexemes[(last + 1)...])) else {
            return nil
        }
        if case .text = value { return nil }
        return .relation([.text("\(lexemes[..<last].map(\.token))"), value], ["="])
    }

    private static func isLabel(_ token: AnswerToken) -> Bool {
        switch token {
        case .letter, .word, .command, .symbol("["), .symbol("|"): true
        default: false
        }
    }

    // MARK: Tokens

    var token: AnswerToken? { token(at: 0) }

    func token(at offset: Int) -> AnswerToken? {
        position + offset < lexemes.count ? lexemes[position + offset].token : nil
    }

    mutating func take(_ symbol: Unicode.Scalar) -> Bool { take(.symbol(symbol)) }

    mutating func take(_ expected: AnswerToken) -> Bool {
        guard token == expected else { return false }
        position += 1
        return true
    }

    mutating func expect(_ symbol: Unicode.Scalar) throws {
        guard take(symbol) else { throw UnreadableAnswer() }
    }

    mutating func nested<Value>(_ body: (inout AnswerParser) throws -> Value) throws -> Value {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else { throw UnreadableAnswer() }
        return try body(&self)
    }

    // MARK: Values

    /// Items separated by commas, semicolons, "and" and "or".
    mutating func parseList() throws -> AnswerValue {
        try nested { parser in
            var items = try parser.parseItem()
            var conjunctions: Set<String> = []
            while parser.takeSeparator(&conjunctions) { items += try parser.parseItem() }
            if items.count == 1 { return items[0] }
            if items.allSatisfy(\.isCondition), conjunctions.count == 1 {
                return conjunctions == ["or"] ? .union(items) : .intersection(items)
            }
            return .list(items)
        }
    }

    private mutating func takeSeparator(_ conjunctions: inout Set<String>) -> Bool {
        var found = false
        while let current = token {
            switch current {
            case .symbol(","), .symbol(";"): break
            case .command("vee"): conjunctions.insert("or")
            case .command("wedge"): conjunctions.insert("and")
            case .word(let word) where Self.isConjunction(word): conjunctions.insert(word.trimmed.lowercased())
            default: return found
            }
            position += 1
            found = true
        }
        return false
    }

    private static func isConjunction(_ word: String) -> Bool { ["and", "or"].contains(word.trimmed.lowercased()) }

    /// One value, or the two that a ± stands for.
    private mutating func parseItem() throws -> [AnswerValue] {
        let start = position
        var values = [try parseUnion(minusFirst: false)]
        if lexemes[start..<position].contains(where: { $0.token == .command("pm") || $0.token == .command("mp") }) {
            // Inside brackets, every level would double the work.
            guard depth == 1 else { throw UnreadableAnswer() }
            position = start
            values.append(try parseUnion(minusFirst: true))
        }
        return values
    }

    private mutating func parseUnion(minusFirst: Bool) throws -> AnswerValue {
        plusMinusIsMinus = minusFirst
        let first = try parseRelation()
        // In x ∈ A ∪ B, the whole union is on the right side.
        if case .relation(let sides, ["∈"]) = first {
            return .relation([sides[0], try parseOperands(sides[1])], ["∈"])
        }
        return try parseOperands(first)
    }

    /// The set operations that follow a set, from left to right.
    private mutating func parseOperands(_ first: AnswerValue) throws -> AnswerValue {
        var result = first
        while true {
            if take(.command("cup")) || take(.word("union")) {
                let next = try parseRelation()
                if case .union(let parts) = result {
                    result = .union(parts + [next])
                } else {
                    result = .union([result, next])
                }
            } else if take(.command("cap")) {
                result = .intersection([result, try parseRelation()])
            } else if take(.command("setminus")) || startsComplement && take("-") {
                result = .difference(result, try parseRelation())
            } else {
                return result
            }
        }
    }

    /// Whether a minus before a set follows: `\mathbb{R} - \{2\}`.
    var startsComplement: Bool { token == .symbol("-") && token(at: 1) == .command("{") }

    private mutating func parseRelation() throws -> AnswerValue {
        var sides = [try parseSide()]
        var relations: [Character] = []
        while let relation = takeRelation() {
            relations.append(relation)
            sides.append(try parseSide())
        }
        if relations.isEmpty { return sides[0] }
        if relations.allSatisfy({ $0 == ":" }) {
            return .ratio(
                try sides.map {
                    guard case .expression(let expression) = $0 else { throw UnreadableAnswer() }
                    return expression
                })
        }
        guard !relations.contains(":") else { throw UnreadableAnswer() }
        return .relation(sides, relations)
    }

    private mutating func takeRelation() -> Character? {
        let orEqual = token(at: 1) == .symbol("=")
        let (relation, tokenCount): (Character, Int)
        switch token {
        case .symbol("="): (relation, tokenCount) = ("=", 1)
        case .symbol(":"):
            if colonEndsValue { return nil }
            (relation, tokenCount) = (":", 1)
        case .command("approx"): (relation, tokenCount) = ("≈", 1)
        case .symbol("<"): (relation, tokenCount) = orEqual ? ("≤", 2) : ("<", 1)
        case .symbol(">"): (relation, tokenCount) = orEqual ? ("≥", 2) : (">", 1)
        case .command("le"): (relation, tokenCount) = ("≤", 1)
        case .command("ge"): (relation, tokenCount) = ("≥", 1)
        case .command("ne"): (relation, tokenCount) = ("≠", 1)
        case .command("in"): (relation, tokenCount) = ("∈", 1)
        default: return nil
        }
        position += tokenCount
        return relation
    }

    /// One side of a relation: a structure, words, or an expression with a percent sign or a unit.
    mutating func parseSide() throws -> AnswerValue {
        if let structure = try parseStructure() { return structure }
        if case .word(let word)? = token { return try parseWords(word) }
        if let number = try parseNumberInBase() { return number }
        var expression = try parseFraction()
        if let scale = takeScale() { expression = Self.scaled(expression, by: scale) }
        if takePercent() { return .percentage(expression) }
        let unit = try parseUnit()
        return unit.isEmpty ? .expression(expression) : .quantity(expression, unit: unit)
    }

    private static let scales = [
        "dozen": 12, "hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000,
        "trillion": 1_000_000_000_000,
    ]

    /// Takes the "million" of `5 million`.
    private mutating func takeScale() -> Int? {
        guard case .word(let word)? = token, let scale = Self.scales[word.trimmed.lowercased()] else { return nil }
        position += 1
        return scale
    }

    private static func scaled(_ expression: MathExpression, by scale: Int) -> MathExpression {
        guard let value = try? expression.numeral?.multiplied(by: Rational(scale)) else {
            return .product([expression, .number(Rational(scale))])
        }
        return .mixed(value)
    }

    private mutating func takePercent() -> Bool {
        if take("%") { return true }
        guard case .word(let word)? = token, ["percent", "pct", "percentage"].contains(word.trimmed.lowercased()) else {
            return false
        }
        position += 1
        return true
    }

    /// Words that are the whole value, or a label; other words before mathematics are not supported.
    private mutating func parseWords(_ first: String) throws -> AnswerValue {
        position += 1
        var words = first
        while case .word(let next)? = token, !Self.isConjunction(next) {
            words += " " + next
            position += 1
        }
        switch token {
        case nil, .symbol(","), .symbol(")"), .symbol(";"), .symbol("}"), .command("}"), .symbol("="),
            .command("approx"),
            .symbol("&"), .command("newline"), .command("end"):
            return .plainText(words)
        case .word: return .plainText(words)
        default: throw UnreadableAnswer()
        }
    }

    private mutating func parseUnit() throws -> String {
        var unit = ""
        while true {
            let start = position
            let isFraction = take(.command("frac"))
            // A bar or a fraction of units: \text{m}/\text{s}.
            let isQuotient = !unit.isEmpty && take("/")
            if isFraction { _ = take("{") }
            guard case .word(let word)? = token, !Self.isConjunction(word) else {
                position = start
                return Units.normalized(unit)
            }
            unit += (isQuotient ? " per " : " ") + word
            position += 1
            if isFraction {
                guard take("}"), take("{"), case .word(let divisor)? = token else { throw UnreadableAnswer() }
                position += 1
                try expect("}")
                unit += " per " + divisor
            }
            // The power in \text{ cm}^2 belongs to the unit.
            if take("^") { unit += " " + (try parseExponent().numeral.map { "\($0)" } ?? "") }
        }
    }

    /// `1011_2` or `1011_{2}`; a base in words is not supported.
    private mutating func parseNumberInBase() throws -> AnswerValue? {
        let sign = token == .symbol("-") ? "-" : ""
        guard case .number(let digits)? = token(at: sign.count), token(at: sign.count + 1) == .symbol("_") else {
            return nil
        }
        position += sign.count + 2
        let isBraced = take("{")
        guard case .number(let text)? = token, let base = Int(text), (2...36).contains(base) else {
            throw UnreadableAnswer()
        }
        position += 1
        if isBraced { try expect("}") }
        return .based(digits: sign + digits.drop { $0 == "0" }, base: base)
    }
}
