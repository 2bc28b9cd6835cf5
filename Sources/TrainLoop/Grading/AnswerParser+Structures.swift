/// Sets, matrices, tuples and intervals.
extension AnswerParser {
    /// Parses a set, a matrix, a tuple or an interval; nil if there is none.
    ///
    /// Brackets that only group an expression leave it in `pendingPrimary`, because parsing it again would double the
    /// work at every level of nesting.
    mutating func parseStructure() throws -> AnswerValue? {
        switch token {
        case .command("{"):
            position += 1
            return try parseSet()
        case .command("emptyset"):
            position += 1
            return .list([])
        case .command("begin"): return try nested { parser in try parser.parseMatrix() }
        case .command("langle"):
            position += 1
            let content = try parseList()
            guard take(.command("rangle")), case .list(let items) = content else { throw UnreadableAnswer() }
            return .tuple(open: "(", items, close: ")")
        case .symbol("{"): return try parseBrackets(open: "{")
        case .symbol("("): return try parseBrackets(open: "(")
        case .symbol("["): return try parseBrackets(open: "[")
        default: return nil
        }
    }

    /// The rest of a set, which lists its elements or states a condition: `\{x \mid x > 5\}`.
    private mutating func parseSet() throws -> AnswerValue {
        if take(.command("}")) { return .list([]) }
        (colonEndsValue, barEndsValue) = (true, true)
        let content = try parseList()
        (colonEndsValue, barEndsValue) = (false, false)
        if take("|") || take(":") {
            guard content.isRealVariable else { throw UnreadableAnswer() }
            let condition = try parseList()
            guard take(.command("}")) else { throw UnreadableAnswer() }
            if case .list(let conditions) = condition { return .intersection(conditions) }
            guard condition.isCondition || condition.isSetOperation else { throw UnreadableAnswer() }
            return condition
        }
        guard take(.command("}")) else { throw UnreadableAnswer() }
        if case .list = content { return content }
        return .list([content])
    }

    private mutating func parseBrackets(open: Character) throws -> AnswerValue? {
        position += 1
        let outer = (colonEndsValue, barEndsValue)
        (colonEndsValue, barEndsValue) = (false, false)
        let content = try parseList()
        (colonEndsValue, barEndsValue) = outer
        let closings: [Character] = open == "{" ? ["}"] : [")", "]"]
        guard let close = closings.first(where: { $0.unicodeScalars.first.map { take($0) } ?? false }) else {
            throw UnreadableAnswer()
        }
        if case .list(let items) = content, items.count > 1 {
            return open == "{" ? content : .tuple(open: open, items, close: close)
        }
        switch content {
        case .text, .matrix: return content
        default: break
        }
        guard (open == "[") == (close == "]"), case .expression(let expression) = content else {
            if open != "[", close != "]" { return content }
            throw UnreadableAnswer()
        }
        // Brackets around one expression group it; the expression may continue after them.
        pendingPrimary = expression
        return nil
    }

    private mutating func parseMatrix() throws -> AnswerValue {
        position += 1
        guard case .word(let environment)? = token, environment.hasSuffix("matrix") || environment == "array" else {
            throw UnreadableAnswer()
        }
        position += 1
        if environment == "array", take("{") {
            while token != nil, token != .symbol("}") { position += 1 }
            try expect("}")
        }
        var rows: [[AnswerValue]] = [[]]
        while !take(.command("end")) {
            if take(.command("newline")) {
                rows.append([])
            } else if !take("&") {
                rows[rows.count - 1].append(try parseSide())
            }
        }
        guard take(.word(environment)) else { throw UnreadableAnswer() }
        if rows.last?.isEmpty ?? false { rows.removeLast() }
        guard let width = rows.first?.count, width > 0, rows.allSatisfy({ $0.count == width }) else {
            throw UnreadableAnswer()
        }
        return .matrix(rows)
    }
}

extension AnswerValue {
    /// Whether this is an inequality.
    var isCondition: Bool {
        guard case .relation(_, let signs) = self else { return false }
        return signs.allSatisfy { "<≤>≥≠∈".contains($0) }
    }

    var isSetOperation: Bool {
        switch self {
        case .union, .intersection, .difference: true
        default: false
        }
    }

    /// Whether this is `x` or `x ∈ ℝ`.
    fileprivate var isRealVariable: Bool {
        switch self {
        case .expression(.variable): true
        case .relation(let sides, ["∈"]): sides[0].isRealVariable && sides[1] == .expression(.variable("R"))
        default: false
        }
    }
}
