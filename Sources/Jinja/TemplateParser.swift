/// Builds the tree of a template. Whatever is not in the grammar of this file is refused with its place.
struct TemplateParser {
    private let tokens: [TemplateLexer.Token]
    private var index = 0
    private var depth = 0
    private var loopDepth = 0

    /// Tags and brackets inside each other.
    static let maximumDepth = 64
    /// Attributes, items, calls and filters behind one value.
    static let maximumPostfixes = 64

    static func parse(_ source: [Unicode.Scalar]) throws -> [TemplateStatement] {
        var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: source))
        let body = try parser.statements(until: [])
        return body
    }

    private init(tokens: [TemplateLexer.Token]) { self.tokens = tokens }

    // MARK: Tokens

    private var current: TemplateLexer.Token { tokens[index] }
    private var offset: Int { tokens[index].offset }

    private func fault(_ reason: String, at offset: Int? = nil) -> TemplateFault {
        TemplateFault(reason, kind: .syntax, at: offset ?? self.offset)
    }

    private mutating func advance() { if index + 1 < tokens.count { index += 1 } }

    private func isSymbol(_ symbol: String) -> Bool { current.kind == .symbol(symbol) }
    private func isName(_ name: String) -> Bool { current.kind == .name(name) }

    private mutating func skipSymbol(_ symbol: String) -> Bool {
        guard isSymbol(symbol) else { return false }
        advance()
        return true
    }

    private mutating func skipName(_ name: String) -> Bool {
        guard isName(name) else { return false }
        advance()
        return true
    }

    private mutating func expect(_ symbol: String) throws {
        guard skipSymbol(symbol) else { throw fault("expected \"\(symbol)\", found \(found)") }
    }

    private mutating func expectBlockEnd() throws {
        guard current.kind == .blockEnd else { throw fault("expected the end of the tag, found \(found)") }
        advance()
    }

    private mutating func identifier() throws -> String {
        guard case .name(let name) = current.kind else { throw fault("expected a name, found \(found)") }
        advance()
        return name
    }

    private var found: String {
        switch current.kind {
        case .data: "text"
        case .variableBegin: "\"{{\""
        case .variableEnd: "\"}}\""
        case .blockBegin: "\"{%\""
        case .blockEnd: "\"%}\""
        case .name(let name): "\"\(name)\""
        case .string: "a string"
        case .integer, .float: "a number"
        case .symbol(let symbol): "\"\(symbol)\""
        case .end: "the end of the template"
        }
    }

    private mutating func nested<Result>(_ body: (inout TemplateParser) throws -> Result) throws -> Result {
        guard depth < Self.maximumDepth else { throw fault("nested more than \(Self.maximumDepth) deep") }
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    // MARK: Statements

    /// Statements up to a tag with one of these names, which is left to be read; up to the end where there are none.
    private mutating func statements(until ends: [String]) throws -> [TemplateStatement] {
        var result: [TemplateStatement] = []
        let start = offset
        while true {
            let token = current
            switch token.kind {
            case .data(let text):
                result.append(.text(text, at: token.offset))
                advance()
            case .variableBegin:
                advance()
                let value = try tupleOrExpression()
                guard current.kind == .variableEnd else { throw fault("expected \"}}\", found \(found)") }
                advance()
                result.append(.output(value, at: token.offset))
            case .blockBegin:
                advance()
                if case .name(let name) = current.kind, ends.contains(name) { return result }
                result.append(try nested { try $0.statement() })
            default:
                guard ends.isEmpty else {
                    throw fault("the template ends before \"\(ends.last ?? "")\"", at: start)
                }
                return result
            }
        }
    }

    /// The body of a block up to its end tag, which is read too.
    private mutating func body(until end: String) throws -> [TemplateStatement] {
        try expectBlockEnd()
        let body = try statements(until: [end])
        advance()
        try expectBlockEnd()
        return body
    }

    private mutating func statement() throws -> TemplateStatement {
        let start = offset
        let keyword = try identifier()
        switch keyword {
        case "if": return try conditional()
        case "for": return try loop(from: start)
        case "set": return try assignment(from: start)
        case "macro": return try macro(from: start)
        case "filter":
            let filters = try filterChain()
            return .filtered(filters, try body(until: "endfilter"), at: start)
        case "with":
            var values: [(target: TemplateTarget, value: TemplateExpression)] = []
            while current.kind != .blockEnd {
                if !values.isEmpty { try expect(",") }
                let target = try assignmentTarget()
                try expect("=")
                values.append((target, try expression()))
            }
            return .with(values, try body(until: "endwith"), at: start)
        case "generation": return .generation(try body(until: "endgeneration"))
        case "break", "continue":
            guard loopDepth > 0 else { throw fault("\"\(keyword)\" outside of a loop", at: start) }
            try expectBlockEnd()
            return keyword == "break" ? .leaveLoop : .nextRound
        case "elif", "else", "endif", "endfor", "endset", "endmacro", "endfilter", "endwith", "endgeneration",
            "endraw":
            throw fault("\"\(keyword)\" without its beginning", at: start)
        default: throw fault("the tag \"\(keyword)\" is not supported", at: start)
        }
    }

    private mutating func conditional() throws -> TemplateStatement {
        var branches: [(condition: TemplateExpression, body: [TemplateStatement])] = []
        var otherwise: [TemplateStatement] = []
        while true {
            let condition = try tupleOrExpression(allowsConditional: false)
            try expectBlockEnd()
            branches.append((condition, try statements(until: ["elif", "else", "endif"])))
            if skipName("elif") { continue }
            if skipName("else") {
                otherwise = try body(until: "endif")
            } else {
                advance()
                try expectBlockEnd()
            }
            return .conditional(branches, otherwise: otherwise)
        }
    }

    private mutating func loop(from start: Int) throws -> TemplateStatement {
        let target = try targetList(endingIn: "in")
        guard skipName("in") else { throw fault("expected \"in\", found \(found)") }
        let iterable = try tupleOrExpression(allowsConditional: false)
        let condition = skipName("if") ? try expression() : nil
        if isName("recursive") { throw fault("a recursive loop is not supported") }
        try expectBlockEnd()
        loopDepth += 1
        let body = try statements(until: ["else", "endfor"])
        loopDepth -= 1
        var otherwise: [TemplateStatement] = []
        if skipName("else") {
            otherwise = try self.body(until: "endfor")
        } else {
            advance()
            try expectBlockEnd()
        }
        return .loop(
            TemplateLoop(
                target: target, iterable: iterable, condition: condition, body: body, otherwise: otherwise,
                offset: start))
    }

    private mutating func assignment(from start: Int) throws -> TemplateStatement {
        let target = try targetList(endingIn: "=")
        if skipSymbol("=") {
            let value = try tupleOrExpression()
            try expectBlockEnd()
            return .assignment(target, value, at: start)
        }
        let filters = skipSymbol("|") ? try filterChain() : []
        return .capture(target, filters, try body(until: "endset"), at: start)
    }

    private mutating func macro(from start: Int) throws -> TemplateStatement {
        let name = try identifier()
        var parameters: [(name: String, value: TemplateExpression?)] = []
        try expect("(")
        while !isSymbol(")") {
            if !parameters.isEmpty { try expect(",") }
            let parameter = try identifier()
            let value = skipSymbol("=") ? try expression() : nil
            if value == nil, parameters.last?.value != nil {
                throw fault("a parameter without a default behind one with a default")
            }
            parameters.append((parameter, value))
        }
        try expect(")")
        let outerLoops = loopDepth
        loopDepth = 0
        let body = try body(until: "endmacro")
        loopDepth = outerLoops
        return .macro(TemplateMacro(name: name, parameters: parameters, body: body, offset: start))
    }

    /// One target, or several with commas between.
    private mutating func targetList(endingIn end: String) throws -> TemplateTarget {
        let start = offset
        var targets = [try assignmentTarget()]
        var isTuple = false
        while skipSymbol(",") {
            isTuple = true
            if isName(end) || isSymbol(end) { break }
            targets.append(try assignmentTarget())
        }
        return isTuple ? .tuple(targets, at: start) : targets[0]
    }

    private mutating func assignmentTarget() throws -> TemplateTarget {
        let start = offset
        if skipSymbol("(") {
            let inner = try nested { try $0.targetList(endingIn: ")") }
            try expect(")")
            return inner
        }
        let name = try identifier()
        guard !Self.reserved.contains(name) else { throw fault("\"\(name)\" cannot be assigned to", at: start) }
        if skipSymbol(".") { return .attribute(name, try identifier(), at: start) }
        return .name(name)
    }

    private static let reserved: Set<String> = ["true", "false", "none", "True", "False", "None"]

    private mutating func filterChain() throws -> [TemplateFilter] {
        var filters = [try filterCall()]
        while skipSymbol("|") { filters.append(try filterCall()) }
        return filters
    }

    private mutating func filterCall() throws -> TemplateFilter {
        let start = offset
        let name = try identifier()
        guard TemplateFilters.names.contains(name) else {
            throw fault("the filter \"\(name)\" is not supported", at: start)
        }
        return TemplateFilter(name: name, arguments: isSymbol("(") ? try arguments() : .init(), offset: start)
    }

    // MARK: Expressions

    /// An expression, or a tuple without brackets.
    private mutating func tupleOrExpression(allowsConditional: Bool = true) throws -> TemplateExpression {
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

    private mutating func expression() throws -> TemplateExpression {
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

    private mutating func disjunction() throws -> TemplateExpression {
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
        // Text marked as safe HTML escapes what is added to it, which no prompt wants: refused here, and done where it
        // changes nothing.
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
            guard count <= Self.maximumPostfixes else { throw fault("too many steps behind one value") }
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

    private mutating func arguments() throws -> TemplateArguments {
        try expect("(")
        var result = TemplateArguments()
        while !isSymbol(")") {
            if !(result.positional.isEmpty && result.named.isEmpty) {
                try expect(",")
                if isSymbol(")") { break }
            }
            if isSymbol("*") || isSymbol("**") { throw fault("unpacking of arguments is not supported") }
            if case .name(let name) = current.kind, tokens[min(index + 1, tokens.count - 1)].kind == .symbol("=") {
                advance()
                advance()
                guard !result.named.contains(where: { $0.name == name }) else {
                    throw fault("the argument \"\(name)\" is given twice")
                }
                result.named.append((name, try expression()))
            } else {
                guard result.named.isEmpty else { throw fault("an argument without name behind one with a name") }
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
