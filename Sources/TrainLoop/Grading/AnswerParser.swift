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
    private var depth = 0
    private static let maximumDepth = 40

    private init(_ lexemes: [AnswerLexer.Lexeme]) { self.lexemes = lexemes }

    /// Parses a text; the value is plain text if it does not match the grammar.
    static func value(_ text: String, joinsThousands: Bool) -> (value: AnswerValue, hasAmbiguousCommas: Bool) {
        let lexer = AnswerLexer(text, joinsThousands: joinsThousands)
        var lexemes = lexer.lexemes
        if case .symbol(".")? = lexemes.last?.token { lexemes.removeLast() }
        var parser = AnswerParser(lexemes)
        if let value = try? parser.parseList(), parser.position == lexemes.count {
            return (value, lexer.hasAmbiguousCommas)
        }
        return (.plainText(text), lexer.hasAmbiguousCommas)
    }

    // MARK: Tokens

    var token: AnswerToken? { token(at: 0) }

    func token(at offset: Int) -> AnswerToken? {
        position + offset < lexemes.count ? lexemes[position + offset].token : nil
    }

    mutating func take(_ symbol: Character) -> Bool { take(.symbol(symbol)) }

    mutating func take(_ expected: AnswerToken) -> Bool {
        guard token == expected else { return false }
        position += 1
        return true
    }

    mutating func expect(_ symbol: Character) throws {
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
            while parser.takeSeparator() { items += try parser.parseItem() }
            return items.count == 1 ? items[0] : .list(items)
        }
    }

    private mutating func takeSeparator() -> Bool {
        var found = false
        while let current = token {
            switch current {
            case .symbol(","), .symbol(";"): break
            case .word(let word) where Self.isConjunction(word): break
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
        var parts = [try parseRelation()]
        while take(.command("cup")) || take(.word("union")) { parts.append(try parseRelation()) }
        return parts.count == 1 ? parts[0] : .union(parts)
    }

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
        case .symbol(":"): (relation, tokenCount) = (":", 1)
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
        let expression = try parseSum()
        if take("%") { return .percentage(expression) }
        let unit = try parseUnit()
        return unit.isEmpty ? .expression(expression) : .quantity(expression, unit: unit)
    }

    /// Words that are the whole value; words before mathematics are not supported.
    private mutating func parseWords(_ first: String) throws -> AnswerValue {
        position += 1
        var words = first
        while case .word(let next)? = token, !Self.isConjunction(next) {
            words += " " + next
            position += 1
        }
        guard token == nil || [.symbol(","), .symbol(")"), .symbol(";"), .symbol("}"), .command("}")].contains(token)
        else { throw UnreadableAnswer() }
        return .plainText(words)
    }

    private mutating func parseUnit() throws -> String {
        var unit = ""
        while case .word(let word)? = token, !Self.isConjunction(word) {
            unit += " " + word
            position += 1
            // The power in \text{ cm}^2 belongs to the unit.
            if take("^") { unit += " " + (try parseExponent().numeral.map { "\($0)" } ?? "") }
        }
        return Units.normalized(unit)
    }

    /// `1011_2` or `1011_{2}`; a base in words is not supported.
    private mutating func parseNumberInBase() throws -> AnswerValue? {
        guard case .number(let digits)? = token, token(at: 1) == .symbol("_") else { return nil }
        position += 2
        let isBraced = take("{")
        guard case .number(let text)? = token, let base = Int(text), (2...36).contains(base) else {
            throw UnreadableAnswer()
        }
        position += 1
        if isBraced { try expect("}") }
        return .based(digits: String(digits.drop { $0 == "0" }), base: base)
    }
}
