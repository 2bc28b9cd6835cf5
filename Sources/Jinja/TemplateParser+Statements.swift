extension TemplateParser {
    /// Reads statements up to a tag with one of these names, which stays unread; up to the end if there are none.
    mutating func statements(until ends: [String]) throws -> [TemplateStatement] {
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

    /// Reads the body of a block and its end tag.
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
            guard loopDepth > 0 else { throw fault("\"\(keyword)\" outside a loop", at: start) }
            try expectBlockEnd()
            return keyword == "break" ? .leaveLoop : .nextRound
        case "elif", "else", "endif", "endfor", "endset", "endmacro", "endfilter", "endwith", "endgeneration",
            "endraw":
            throw fault("\"\(keyword)\" without a matching start tag", at: start)
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
        if isName("recursive") { throw fault("recursive loops are not supported") }
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
                throw fault("a parameter without a default follows one with a default")
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

    /// Reads one target, or several separated by commas.
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

    mutating func filterCall() throws -> TemplateFilter {
        let start = offset
        let name = try identifier()
        guard TemplateFilters.names.contains(name) else {
            throw fault("the filter \"\(name)\" is not supported", at: start)
        }
        return TemplateFilter(name: name, arguments: isSymbol("(") ? try arguments() : .init(), offset: start)
    }
}
