extension TemplateParser {
    /// Reads an expression or a tuple without parentheses.
    mutating func tupleOrExpression(allowsConditional: Bool = true) throws -> TemplateExpression {
        let first = try allowsConditional ? expression() : disjunction()
        guard isSymbol(",") else { return first }
        var elements = [first]
        while skipSymbol(",") {
            switch current.kind {
            case .variableEnd, .blockEnd, .symbol(")"): return .tuple(elements)
            default: elements.append(try allowsConditional ? expression() : disjunction())
            }
        }
        return .tuple(elements)
    }

    mutating func expression() throws -> TemplateExpression {
        try nested { parser in
            var result = try parser.disjunction()
            var count = 0
            while parser.isName("if") {
                let start = parser.offset
                parser.advance()
                count += 1
                guard count < Self.maximumDepth else { throw parser.fault("too many conditions in a row") }
                let condition = try parser.disjunction()
                let otherwise = parser.skipName("else") ? try parser.expression() : nil
                result = .conditional(result, condition: condition, otherwise: otherwise, at: start)
            }
            return result
        }
    }

    mutating func disjunction() throws -> TemplateExpression {
        var operands = [try conjunction()]
        while skipName("or") { operands.append(try conjunction()) }
        return operands.count == 1 ? operands[0] : .or(operands)
    }

    private mutating func conjunction() throws -> TemplateExpression {
        var operands = [try negation()]
        while skipName("and") { operands.append(try negation()) }
        return operands.count == 1 ? operands[0] : .and(operands)
    }

    private mutating func negation() throws -> TemplateExpression {
        guard skipName("not") else { return try comparison() }
        return .not(try nested { try $0.negation() })
    }

    private mutating func comparison() throws -> TemplateExpression {
        let first = try sum()
        var rest: [(operation: String, operand: TemplateExpression, at: Int)] = []
        while true {
            let start = offset
            if case .symbol(let symbol) = current.kind, ["==", "!=", "<", "<=", ">", ">="].contains(symbol) {
                advance()
                rest.append((symbol, try sum(), start))
            } else if skipName("in") {
                rest.append(("in", try sum(), start))
            } else if isName("not"), tokens[min(index + 1, tokens.count - 1)].kind == .name("in") {
                advance()
                advance()
                rest.append(("not in", try sum(), start))
            } else {
                return rest.isEmpty ? first : .comparison(first, rest)
            }
        }
    }

    private mutating func chain(
        _ symbols: [String], _ operand: (inout TemplateParser) throws -> TemplateExpression
    ) throws -> TemplateExpression {
        let first = try operand(&self)
        var rest: [(operation: String, operand: TemplateExpression, at: Int)] = []
        while case .symbol(let symbol) = current.kind, symbols.contains(symbol) {
            let start = offset
            advance()
            rest.append((symbol, try operand(&self), start))
        }
        // In Jinja, adding to text marked as safe HTML-escapes the other operand, so `safe` is only accepted where it
        // has no effect.
        for case .filter(_, let filter) in [first] + rest.map(\.operand) where !rest.isEmpty && filter.name == "safe" {
            throw fault("\"safe\" in a calculation is not supported; leave it out", at: filter.offset)
        }
        return rest.isEmpty ? first : .chain(first, rest)
    }

    private mutating func sum() throws -> TemplateExpression {
        try chain(["+", "-"]) { try $0.concatenation() }
    }

    private mutating func concatenation() throws -> TemplateExpression {
        let start = offset
        var operands = [try product()]
        while skipSymbol("~") { operands.append(try product()) }
        return operands.count == 1 ? operands[0] : .concatenation(operands, at: start)
    }

    private mutating func product() throws -> TemplateExpression {
        try chain(["*", "/", "//", "%"]) { parser in try parser.chain(["**"]) { try $0.unary(withFilters: true) } }
    }

    private mutating func unary(withFilters: Bool) throws -> TemplateExpression {
        let start = offset
        let operand: TemplateExpression
        if skipSymbol("-") {
            operand = .negative(try nested { try $0.unary(withFilters: false) }, at: start)
        } else if skipSymbol("+") {
            operand = .positive(try nested { try $0.unary(withFilters: false) }, at: start)
        } else {
            operand = try primary()
        }
        return try postfixes(of: operand, withFilters: withFilters)
    }

    private mutating func primary() throws -> TemplateExpression {
        let token = current
        switch token.kind {
        case .name(let name):
            advance()
            switch name {
            case "true", "True": return .literal(.bool(true))
            case "false", "False": return .literal(.bool(false))
            case "none", "None": return .literal(.none)
            default: return .name(name, at: token.offset)
            }
        case .string(var text):
            advance()
            while case .string(let more) = current.kind {
                text += more
                advance()
            }
            return .literal(.string(text))
        case .integer(let value):
            advance()
            return .literal(.integer(value))
        case .float(let value):
            advance()
            return .literal(.float(value))
        case .symbol("("):
            advance()
            if skipSymbol(")") { return .tuple([]) }
            let inner = try nested { try $0.tupleOrExpression() }
            try expect(")")
            return inner
        case .symbol("["):
            advance()
            var elements: [TemplateExpression] = []
            while !isSymbol("]") {
                if !elements.isEmpty { try expect(",") }
                if isSymbol("]") { break }
                elements.append(try expression())
            }
            try expect("]")
            return .list(elements)
        case .symbol("{"):
            advance()
            var members: [(key: TemplateExpression, value: TemplateExpression)] = []
            while !isSymbol("}") {
                if !members.isEmpty { try expect(",") }
                if isSymbol("}") { break }
                let key = try expression()
                try expect(":")
                members.append((key, try expression()))
            }
            try expect("}")
            return .dictionary(members, at: token.offset)
        default: throw fault("expected an expression, found \(found)")
        }
    }

    private mutating func postfixes(of operand: TemplateExpression, withFilters: Bool) throws -> TemplateExpression {
        var result = operand
        var count = 0
        var mayFilter = false
        while true {
            let start = offset
            if skipSymbol(".") {
                guard !mayFilter else { throw fault("unexpected \".\"", at: start) }
                if case .integer(let position) = current.kind {
                    advance()
                    result = .item(result, .literal(.integer(position)), at: start)
                } else {
                    result = .attribute(result, try identifier(), at: start)
                }
            } else if isSymbol("["), !mayFilter {
                advance()
                result = try subscripted(result, from: start)
            } else if isSymbol("(") {
                result = .call(result, try arguments(), at: start)
            } else if withFilters, skipSymbol("|") {
                result = .filter(result, try filterCall())
                mayFilter = true
            } else if withFilters, skipName("is") {
                result = try test(result)
                mayFilter = true
            } else {
                return result
            }
            count += 1
            guard count <= Self.maximumPostfixes else {
                throw fault("too many attributes, calls and filters on one value")
            }
        }
    }

    private mutating func subscripted(
        _ operand: TemplateExpression, from start: Int
    ) throws -> TemplateExpression {
        var slice = TemplateSlice()
        var isSlice = false
        if !isSymbol(":") {
            let key = try tupleOrExpression()
            if skipSymbol("]") { return .item(operand, key, at: start) }
            slice.start = key
        }
        if skipSymbol(":") {
            isSlice = true
            if !isSymbol(":"), !isSymbol("]") { slice.stop = try expression() }
            if skipSymbol(":"), !isSymbol("]") { slice.step = try expression() }
        }
        guard isSlice, skipSymbol("]") else { throw fault("expected \"]\", found \(found)") }
        return .slice(operand, slice, at: start)
    }

    mutating func arguments() throws -> TemplateArguments {
        try expect("(")
        var result = TemplateArguments()
        while !isSymbol(")") {
            if !(result.positional.isEmpty && result.named.isEmpty) {
                try expect(",")
                if isSymbol(")") { break }
            }
            if isSymbol("*") || isSymbol("**") { throw fault("argument unpacking is not supported") }
            if case .name(let name) = current.kind, tokens[min(index + 1, tokens.count - 1)].kind == .symbol("=") {
                advance()
                advance()
                guard !result.named.contains(where: { $0.name == name }) else {
                    throw fault("the argument \"\(name)\" is given twice")
                }
                result.named.append((name, try expression()))
            } else {
                guard result.named.isEmpty else { throw fault("a positional argument follows a named one") }
                result.positional.append(try expression())
            }
        }
        try expect(")")
        return result
    }

    private mutating func test(_ operand: TemplateExpression) throws -> TemplateExpression {
        let isNegated = skipName("not")
        let start = offset
        let name = try identifier()
        guard TemplateTests.names.contains(name) else {
            throw fault("the test \"\(name)\" is not supported", at: start)
        }
        var arguments = TemplateArguments()
        if isSymbol("(") {
            arguments = try self.arguments()
        } else {
            let takesArgument: Bool
            switch current.kind {
            case .name(let next): takesArgument = !["else", "or", "and", "if", "is", "in", "not"].contains(next)
            case .string, .integer, .float, .symbol("["), .symbol("{"): takesArgument = true
            default: takesArgument = false
            }
            if isName("is") { throw fault("tests cannot be chained with \"is\"") }
            if takesArgument {
                let argument = try primary()
                arguments.positional = [try postfixes(of: argument, withFilters: false)]
            }
        }
        return .test(operand, name: name, arguments, isNegated: isNegated, at: start)
    }
}
