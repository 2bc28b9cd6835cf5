/// Sums, products, powers and mixed numbers.
extension AnswerParser {
    /// A sum, or two with `\over` or `\choose` between them.
    mutating func parseFraction() throws -> MathExpression {
        let top = try parseSum()
        if take(.command("over")) { return .quotient(top, try parseSum()) }
        if take(.command("choose")) { return .binomial(top, try parseSum()) }
        return top
    }

    mutating func parseSum() throws -> MathExpression {
        try nested { parser in
            var terms: [MathExpression] = []
            var sign = parser.takeSign() ?? 1
            while true {
                let term = try parser.parseProduct()
                terms.append(sign < 0 ? .negation(term) : term)
                guard let next = parser.takeSign() else { break }
                sign = next
            }
            return terms.count == 1 ? terms[0] : .sum(terms)
        }
    }

    private mutating func takeSign() -> Int? {
        if pendingPrimary != nil || startsComplement { return nil }
        if take("+") { return 1 }
        if take("-") { return -1 }
        if take(.command("pm")) { return plusMinusIsMinus ? -1 : 1 }
        if take(.command("mp")) { return plusMinusIsMinus ? 1 : -1 }
        return nil
    }

    private mutating func parseProduct() throws -> MathExpression {
        var factors = [try parsePower()]
        while true {
            if take("*") || take(.command("cdot")) || take(.command("times")) {
                factors.append(try parseSignedPower())
            } else if take("/") || take(.command("div")) {
                let divisor = try parseSignedPower()
                factors = [.quotient(Self.product(factors), divisor)]
            } else if startsFactor {
                factors.append(try parsePower())
            } else {
                return Self.product(factors)
            }
        }
    }

    private static func product(_ factors: [MathExpression]) -> MathExpression {
        factors.count == 1 ? factors[0] : .product(factors)
    }

    /// Whether a factor follows without a multiplication sign.
    private var startsFactor: Bool {
        switch token {
        case .letter, .number, .symbol("("), .symbol("{"): true
        case .symbol("|"): !barEndsValue
        case .command("frac"): !startsUnitFraction
        case .command(let name):
            ["sqrt", "pi", "infty", "binom", "lfloor", "lceil"].contains(name)
                || AnswerVocabulary.functions.contains(name)
        default: false
        }
    }

    /// Whether a quotient of units follows: `\frac{\text{m}}{\text{s}}`.
    private var startsUnitFraction: Bool {
        if token(at: 1) == .symbol("{"), case .word? = token(at: 2) { true } else { false }
    }

    private mutating func parseSignedPower() throws -> MathExpression {
        if take("-") { return .negation(try parsePower()) }
        _ = take("+")
        return try parsePower()
    }

    private mutating func parsePower() throws -> MathExpression {
        try nested { parser in
            let isNumber: Bool
            if case .number = parser.token, parser.pendingPrimary == nil { isNumber = true } else { isNumber = false }
            var base = try parser.parsePrimary()
            if isNumber, let mixed = try parser.parseMixedNumber(base) { return mixed }
            while true {
                if parser.take("^") {
                    if parser.takeDegree() { continue }
                    base = .power(base, try parser.parseExponent())
                } else if parser.take("!") {
                    base = .factorial(base)
                } else if parser.take(.command("degree")) {
                    parser.takeTemperatureScale()
                } else {
                    return base
                }
            }
        }
    }

    /// Takes `\circ` after a `^`, braced or not; a number of degrees equals that number.
    private mutating func takeDegree() -> Bool {
        if take(.command("degree")) {
            takeTemperatureScale()
            return true
        }
        if token == .symbol("{"), token(at: 1) == .command("degree"), token(at: 2) == .symbol("}") {
            position += 3
            takeTemperatureScale()
            return true
        }
        return false
    }

    /// Takes the C of °C, which is no variable.
    private mutating func takeTemperatureScale() {
        for scale in ["C", "F"] where token == .letter(scale) || token == .word(scale) { position += 1 }
    }

    mutating func parseExponent() throws -> MathExpression {
        if token == .symbol("{") { return try parseGroup() }
        if take("-") { return .negation(try parsePrimary()) }
        return try parsePrimary()
    }

    /// The proper fraction after a whole number: `1\frac{2}{3}` or `1 2/3`.
    private mutating func parseMixedNumber(_ whole: MathExpression) throws -> MathExpression? {
        guard case .number(let value) = whole, value.isInteger else { return nil }
        let start = position
        let fraction: MathExpression
        if token == .command("frac"), !startsUnitFraction {
            fraction = try parsePrimary()
        } else if position < lexemes.count, lexemes[position].followsSpace, case .number? = token,
            token(at: 1) == .symbol("/"), case .number? = token(at: 2)
        {
            let top = try parsePrimary()
            position += 1
            fraction = .quotient(top, try parsePrimary())
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

    mutating func parseGroup() throws -> MathExpression {
        try expect("{")
        let outer = barEndsValue
        barEndsValue = false
        let content = try parseFraction()
        barEndsValue = outer
        try expect("}")
        return content
    }

    /// The argument of a function without brackets: the factors up to the next sign, as in `\sin 2x`.
    mutating func parseBareArgument() throws -> MathExpression {
        var factors = [try parsePower()]
        while case .letter = token { factors.append(try parsePower()) }
        return Self.product(factors)
    }
}
