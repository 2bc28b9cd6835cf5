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
            let content = try parseList()
            guard take(.command("}")) else { throw UnreadableAnswer() }
            if case .list = content { return content }
            return .list([content])
        case .command("emptyset"), .command("varnothing"):
            position += 1
            return .list([])
        case .command("begin"): return try nested { parser in try parser.parseMatrix() }
        case .command("langle"):
            position += 1
            let content = try parseList()
            guard take(.command("rangle")), case .list(let items) = content else { throw UnreadableAnswer() }
            return .tuple(open: "(", items, close: ")")
        case .symbol("("): return try parseBrackets(open: "(")
        case .symbol("["): return try parseBrackets(open: "[")
        default: return nil
        }
    }

    private mutating func parseBrackets(open: Character) throws -> AnswerValue? {
        position += 1
        let content = try parseList()
        guard let close: Character = take(")") ? ")" : take("]") ? "]" : nil else { throw UnreadableAnswer() }
        if case .list(let items) = content, items.count > 1 { return .tuple(open: open, items, close: close) }
        if case .text = content { return content }
        guard (open == "[") == (close == "]"), case .expression(let expression) = content else {
            if open == "(", close == ")" { return content }
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
