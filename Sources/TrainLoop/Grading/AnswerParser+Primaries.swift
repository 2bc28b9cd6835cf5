/// Numbers, variables, brackets, and LaTeX commands with their arguments.
extension AnswerParser {
    mutating func parsePrimary(singleDigit: Bool = false) throws -> MathExpression {
        if let pending = pendingPrimary {
            pendingPrimary = nil
            return pending
        }
        guard let current = token else { throw UnreadableAnswer() }
        switch current {
        case .number(let text):
            if singleDigit, text.count > 1, !text.contains(".") {
                return try .number(Rational(decimal: takeDigit(of: text)))
            }
            position += 1
            defer { takenDigits = 0 }
            return try .number(Rational(decimal: text.dropFirst(takenDigits)))
        case .letter(let name):
            position += 1
            return try parseVariable(name)
        case .command(let name):
            position += 1
            return try parseCommand(name)
        case .symbol("("), .symbol("["):
            position += 1
            let outer = (colonEndsValue, barEndsValue)
            (colonEndsValue, barEndsValue) = (false, false)
            let content = try parseFraction()
            (colonEndsValue, barEndsValue) = outer
            try expect(current == .symbol("(") ? ")" : "]")
            return content
        case .symbol("{"): return try nested { parser in try parser.parseGroup() }
        case .symbol("|"):
            position += 1
            let outer = barEndsValue
            barEndsValue = true
            let content = try parseFraction()
            barEndsValue = outer
            try expect("|")
            return .absolute(content)
        default: throw UnreadableAnswer()
        }
    }

    private mutating func takeDigit(of number: String) -> Substring {
        let digit = number.dropFirst(takenDigits).prefix(1)
        takenDigits += 1
        if takenDigits == number.count {
            takenDigits = 0
            position += 1
        }
        return digit
    }

    private mutating func parseVariable(_ letter: String) throws -> MathExpression {
        var name = letter
        while take("'") { name += "'" }
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

    private mutating func parseCommand(_ name: String) throws -> MathExpression {
        switch name {
        case "pi": return .pi
        case "infty": return .infinity
        case "frac":
            let top = try parseArgument()
            return .quotient(top, try parseArgument())
        case "binom":
            let top = try parseArgument()
            return .binomial(top, try parseArgument())
        case "lfloor", "lceil":
            let content = try parseFraction()
            guard take(.command(name == "lfloor" ? "rfloor" : "rceil")) else { throw UnreadableAnswer() }
            return .function(name == "lfloor" ? "floor" : "ceil", content)
        case "sqrt":
            var degree = MathExpression.number(Rational(2))
            if take("[") {
                degree = try parseSum()
                try expect("]")
            }
            return .root(try parseArgument(), degree: degree)
        case _ where AnswerVocabulary.functions.contains(name): return try parseFunction(name)
        default: throw UnreadableAnswer()
        }
    }

    /// The argument of a command: braces, or one token (`\frac12`).
    private mutating func parseArgument() throws -> MathExpression {
        token == .symbol("{") ? try parseGroup() : try parsePrimary(singleDigit: true)
    }

    private mutating func parseFunction(_ name: String) throws -> MathExpression {
        var base: MathExpression?
        var power: MathExpression?
        if take("_") { base = try parseArgument() }
        if take("^") { power = try parseExponent() }
        let argument = token == .symbol("(") || token == .symbol("{") ? try parsePrimary() : try parseBareArgument()
        var result: MathExpression
        if name == "log" {
            result = .logarithm(base: base ?? .number(Rational(10)), argument)
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
}
