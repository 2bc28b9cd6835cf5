/// The text is no answer that the grammar knows; it is compared as text then.
struct UnreadableAnswer: Error {}

/// Reads an answer: lists, unions and relations of values, values of expressions.
///
/// Recursive descent; the depth of nesting is bounded, and every step takes a token.
struct AnswerParser {
    private let lexemes: [AnswerLexer.Lexeme]
    private var position = 0
    private var depth = 0
    private static let maximumDepth = 40

    private init(_ lexemes: [AnswerLexer.Lexeme]) { self.lexemes = lexemes }

    /// The value of a text; as plain text where it is no mathematics.
    static func value(_ text: String, joinsThousands: Bool) -> (value: AnswerValue, hasAmbiguousCommas: Bool) {
        let lexer = AnswerLexer(text, joinsThousands: joinsThousands)
        var lexemes = lexer.lexemes
        if case .symbol(".")? = lexemes.last?.token { lexemes.removeLast() }
        var parser = AnswerParser(lexemes)
        if let value = try? parser.list(), parser.position == lexemes.count {
            return (value, lexer.hasAmbiguousCommas)
        }
        return (.plainText(text), lexer.hasAmbiguousCommas)
    }

    // MARK: Tokens

    private var token: AnswerToken? { position < lexemes.count ? lexemes[position].token : nil }

    private func token(at offset: Int) -> AnswerToken? {
        position + offset < lexemes.count ? lexemes[position + offset].token : nil
    }

    private mutating func take(_ symbol: Character) -> Bool { take(.symbol(symbol)) }

    private mutating func take(_ expected: AnswerToken) -> Bool {
        guard token == expected else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ symbol: Character) throws {
        guard take(symbol) else { throw UnreadableAnswer() }
    }

    private mutating func nested<Value>(_ body: (inout AnswerParser) throws -> Value) throws -> Value {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else { throw UnreadableAnswer() }
        return try body(&self)
    }

    // MARK: Values

    /// Items between commas, semicolons, "and" and "or".
    private mutating func list() throws -> AnswerValue {
        try nested { parser in
            var items = try parser.item()
            while parser.takeSeparator() { items += try parser.item() }
            return items.count == 1 ? items[0] : .list(items)
        }
    }

    private mutating func takeSeparator() -> Bool {
        var found = false
        while let current = token {
            switch current {
            case .symbol(","), .symbol(";"): break
            case .word(let word) where ["and", "or"].contains(word.trimmed.lowercased()): break
            default: return found
            }
            position += 1
            found = true
        }
        return false
    }

    /// One item, or the two that a ± stands for.
    private mutating func item() throws -> [AnswerValue] {
        let start = position
        var values = [try union(minusFirst: false)]
        if lexemes[start..<position].contains(where: { $0.token == .command("pm") || $0.token == .command("mp") }) {
            // Inside brackets each level would double what is read.
            guard depth == 1 else { throw UnreadableAnswer() }
            position = start
            values.append(try union(minusFirst: true))
        }
        return values
    }

    private var plusMinusIsMinus = false

    private mutating func union(minusFirst: Bool) throws -> AnswerValue {
        plusMinusIsMinus = minusFirst
        var parts = [try relation()]
        while take(.command("cup")) || take(.word("union")) { parts.append(try relation()) }
        return parts.count == 1 ? parts[0] : .union(parts)
    }

    private mutating func relation() throws -> AnswerValue {
        var sides = [try side()]
        var relations: [Character] = []
        while let relation = takeRelation() {
            relations.append(relation)
            sides.append(try side())
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
        let relation: Character
        switch token {
        case .symbol("="): relation = "="
        case .symbol(":"): relation = ":"
        case .symbol("<"): relation = token(at: 1) == .symbol("=") ? "≤" : "<"
        case .symbol(">"): relation = token(at: 1) == .symbol("=") ? "≥" : ">"
        case .command("le"): relation = "≤"
        case .command("ge"): relation = "≥"
        case .command("ne"): relation = "≠"
        case .command("in"): relation = "∈"
        default: return nil
        }
        if token == .symbol("<") || token == .symbol(">"), relation == "≤" || relation == "≥" { position += 1 }
        position += 1
        return relation
    }

    /// A value without relations: brackets, a matrix, words, or an expression with what may follow it.
    private mutating func side() throws -> AnswerValue {
        if let structure = try structure() { return structure }
        if case .word(let word)? = token {
            // Words alone; words before mathematics are not understood.
            position += 1
            var words = word
            while case .word(let next)? = token, !["and", "or"].contains(next.trimmed.lowercased()) {
                words += " " + next
                position += 1
            }
            guard
                token == nil || [.symbol(","), .symbol(")"), .symbol(";"), .symbol("}"), .command("}")].contains(token)
            else { throw UnreadableAnswer() }
            return .plainText(words)
        }
        let isNumberStart: Bool
        if case .number = token { isNumberStart = true } else { isNumberStart = false }
        if isNumberStart, let based = try based() { return based }
        let expression = try sum()
        if take("%") { return .percentage(expression) }
        var unit = ""
        while case .word(let word)? = token, !["and", "or"].contains(word.trimmed.lowercased()) {
            unit += " " + word
            position += 1
            // \text{ cm}^2 and the like: the power belongs to the unit.
            if take("^") {
                unit += " " + String(describing: try exponent().numeral.map { "\($0)" } ?? "")
            }
        }
        unit = Units.normalized(unit)
        return unit.isEmpty ? .expression(expression) : .quantity(expression, unit: unit)
    }

    /// `1011_2`, `1011_{2}`, `1011_{\text{two}}` is not read.
    private mutating func based() throws -> AnswerValue? {
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

    /// An expression in brackets that has been read and is the next primary.
    private var pendingPrimary: MathExpression?

    /// A set, a matrix, a tuple or an interval; nil if there is none. Brackets that only group an expression leave it
    /// in `pendingPrimary`: reading them a second time would take twice as long at every level of nesting.
    private mutating func structure() throws -> AnswerValue? {
        switch token {
        case .command("{"):
            position += 1
            let content = try list()
            guard take(.command("}")) else { throw UnreadableAnswer() }
            if case .list = content { return content }
            return .list([content])
        case .command("emptyset"), .command("varnothing"):
            position += 1
            return .list([])
        case .command("begin"):
            return try nested { parser in try parser.matrix() }
        case .command("langle"):
            position += 1
            let content = try list()
            guard take(.command("rangle")), case .list(let items) = content else { throw UnreadableAnswer() }
            return .tuple(open: "(", items, close: ")")
        case .symbol("("), .symbol("["):
            let open: Character = token == .symbol("(") ? "(" : "["
            position += 1
            let content = try list()
            guard let close: Character = take(")") ? ")" : take("]") ? "]" : nil else { throw UnreadableAnswer() }
            if case .list(let items) = content, items.count > 1 { return .tuple(open: open, items, close: close) }
            if case .text = content { return content }
            guard (open == "[") == (close == "]"), case .expression(let expression) = content else {
                if open == "(", close == ")" { return content }
                throw UnreadableAnswer()
            }
            // Brackets around one expression group it; more of the expression may follow.
            pendingPrimary = expression
            return nil
        default: return nil
        }
    }

    private mutating func matrix() throws -> AnswerValue {
        position += 1
        guard case .word(let kind)? = token, kind.hasSuffix("matrix") || kind == "array" else {
            throw UnreadableAnswer()
        }
        position += 1
        if kind == "array", take("{") {
            while let current = token, current != .symbol("}") {
                _ = current
                position += 1
            }
            try expect("}")
        }
        var rows: [[AnswerValue]] = [[]]
        while true {
            if take(.command("end")) {
                guard case .word(let other)? = token, other == kind else { throw UnreadableAnswer() }
                position += 1
                break
            }
            if take(.command("newline")) {
                rows.append([])
            } else if take("&") {
                continue
            } else {
                rows[rows.count - 1].append(try side())
            }
        }
        if rows.last?.isEmpty ?? false { rows.removeLast() }
        guard let width = rows.first?.count, width > 0, rows.allSatisfy({ $0.count == width }) else {
            throw UnreadableAnswer()
        }
        return .matrix(rows)
    }

    // MARK: Expressions

    private mutating func sum() throws -> MathExpression {
        try nested { parser in
            var terms: [MathExpression] = []
            var sign = parser.takeSign() ?? 1
            while true {
                let term = try parser.product()
                terms.append(sign < 0 ? .negation(term) : term)
                guard let next = parser.takeSign() else { break }
                sign = next
            }
            return terms.count == 1 ? terms[0] : .sum(terms)
        }
    }

    private mutating func takeSign() -> Int? {
        if pendingPrimary != nil { return nil }
        if take("+") { return 1 }
        if take("-") { return -1 }
        if take(.command("pm")) { return plusMinusIsMinus ? -1 : 1 }
        if take(.command("mp")) { return plusMinusIsMinus ? 1 : -1 }
        return nil
    }

    private mutating func product() throws -> MathExpression {
        var factors = [try power()]
        while true {
            if take("*") || take(.command("cdot")) || take(.command("times")) {
                factors.append(try signedPower())
            } else if take("/") || take(.command("div")) {
                let divisor = try signedPower()
                factors = [.quotient(Self.product(factors), divisor)]
            } else if startsFactor {
                factors.append(try power())
            } else {
                return Self.product(factors)
            }
        }
    }

    private static func product(_ factors: [MathExpression]) -> MathExpression {
        factors.count == 1 ? factors[0] : .product(factors)
    }

    /// True if a factor follows with no sign of multiplication between.
    private var startsFactor: Bool {
        switch token {
        case .letter, .number, .symbol("("), .symbol("{"): true
        case .command(let name):
            ["frac", "sqrt", "pi", "infty", "binom"].contains(name) || AnswerLexer.functionNames.contains(name)
        default: false
        }
    }

    private mutating func signedPower() throws -> MathExpression {
        if take("-") { return .negation(try power()) }
        _ = take("+")
        return try power()
    }

    private mutating func power() throws -> MathExpression {
        try nested { parser in
            let isNumber: Bool
            if case .number = parser.token, parser.pendingPrimary == nil { isNumber = true } else { isNumber = false }
            var base = try parser.primary()
            if isNumber, let mixed = try parser.mixed(base) { return mixed }
            while true {
                if parser.take("^") {
                    if parser.takeDegree() { continue }
                    base = .power(base, try parser.exponent())
                } else if parser.take("!") {
                    base = .factorial(base)
                } else if parser.take(.command("degree")) {
                    continue
                } else {
                    return base
                }
            }
        }
    }

    /// `\circ` behind a `^`, braced or not: a number of degrees is that number.
    private mutating func takeDegree() -> Bool {
        if take(.command("degree")) { return true }
        if token == .symbol("{"), token(at: 1) == .command("degree"), token(at: 2) == .symbol("}") {
            position += 3
            return true
        }
        return false
    }

    private mutating func exponent() throws -> MathExpression {
        if token == .symbol("{") { return try group() }
        if take("-") { return .negation(try primary()) }
        return try primary()
    }

    /// `1\frac{2}{3}` or `1 2/3`: a whole number and a proper fraction behind it.
    private mutating func mixed(_ whole: MathExpression) throws -> MathExpression? {
        guard case .number(let value) = whole, value.isInteger else { return nil }
        let start = position
        let fraction: MathExpression
        if token == .command("frac") {
            fraction = try primary()
        } else if position < lexemes.count, lexemes[position].followsSpace, case .number? = token,
            token(at: 1) == .symbol("/"), case .number? = token(at: 2)
        {
            let top = try primary()
            position += 1
            fraction = .quotient(top, try primary())
        } else {
            return nil
        }
        guard case .quotient(.number(let top), .number(let bottom)) = fraction, top.isInteger, bottom.isInteger,
            top < bottom, let part = try? top.multiplied(by: bottom.inverted()), let sum = try? value.adding(part)
        else {
            position = start
            return nil
        }
        return .mixed(sum)
    }

    private mutating func group() throws -> MathExpression {
        try expect("{")
        let content = try sum()
        try expect("}")
        return content
    }

    /// An argument of a command: braces, or one token (`\frac12`).
    private mutating func argument() throws -> MathExpression {
        token == .symbol("{") ? try group() : try primary(singleDigit: true)
    }

    private mutating func primary(singleDigit: Bool = false) throws -> MathExpression {
        if let pending = pendingPrimary {
            pendingPrimary = nil
            return pending
        }
        guard let current = token else { throw UnreadableAnswer() }
        switch current {
        case .number(let text):
            if singleDigit, text.count > 1, !text.contains(".") { return try .number(Rational(decimal: firstDigit())) }
            position += 1
            defer { splitDigits = 0 }
            return try .number(Rational(decimal: text.dropFirst(splitDigits)))
        case .letter(let name):
            position += 1
            return try letter(name)
        case .command(let name):
            position += 1
            return try command(name)
        case .symbol("("), .symbol("["):
            position += 1
            let content = try sum()
            try expect(current == .symbol("(") ? ")" : "]")
            return content
        case .symbol("{"): return try nested { parser in try parser.group() }
        case .symbol("|"):
            position += 1
            let content = try sum()
            try expect("|")
            return .absolute(content)
        default: throw UnreadableAnswer()
        }
    }

    /// How many digits of the number token are taken already: `\frac12` is one half.
    private var splitDigits = 0

    private mutating func firstDigit() throws -> Substring {
        guard case .number(let text)? = token else { throw UnreadableAnswer() }
        let digit = text.dropFirst(splitDigits).prefix(1)
        splitDigits += 1
        if splitDigits == text.count {
            splitDigits = 0
            position += 1
        }
        return digit
    }

    private mutating func letter(_ name: String) throws -> MathExpression {
        var name = name
        if take("_") {
            let isBraced = take("{")
            switch token {
            case .number(let index), .letter(let index), .word(let index): name += "_" + index
            default: throw UnreadableAnswer()
            }
            position += 1
            if isBraced { try expect("}") }
        }
        return name == "i" ? .imaginaryUnit : name == "e" ? .euler : .variable(name)
    }

    private mutating func command(_ name: String) throws -> MathExpression {
        switch name {
        case "pi": return .pi
        case "infty": return .infinity
        case "frac":
            let top = try argument()
            return .quotient(top, try argument())
        case "binom":
            let top = try argument()
            return .binomial(top, try argument())
        case "sqrt":
            var degree = MathExpression.number(Rational(2))
            if take("[") {
                degree = try sum()
                try expect("]")
            }
            return .root(try argument(), degree: degree)
        case _ where AnswerLexer.functionNames.contains(name): return try function(name)
        default: throw UnreadableAnswer()
        }
    }

    private mutating func function(_ name: String) throws -> MathExpression {
        var base: MathExpression?
        var power: MathExpression?
        if take("_") { base = try argument() }
        if take("^") { power = try exponent() }
        let argument = token == .symbol("(") || token == .symbol("{") ? try primary() : try functionArgument()
        var result: MathExpression
        if name == "log" {
            result = .logarithm(base ?? .number(Rational(10)), argument)
        } else {
            guard base == nil else { throw UnreadableAnswer() }
            result = .function(name, argument)
        }
        if let power {
            let inverse = ["sin": "arcsin", "cos": "arccos", "tan": "arctan"][name]
            if power.numeral == Rational(-1), let inverse {
                result = .function(inverse, argument)
            } else {
                result = .power(result, power)
            }
        }
        return result
    }

    /// What a function without brackets applies to: the factors up to the next sign, as in `\sin 2x`.
    private mutating func functionArgument() throws -> MathExpression {
        var factors = [try power()]
        while case .letter = token { factors.append(try power()) }
        return Self.product(factors)
    }
}
