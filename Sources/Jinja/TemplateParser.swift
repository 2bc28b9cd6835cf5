/// Parses a template by recursive descent; constructs outside the supported grammar are rejected with their place.
///
/// This file reads tokens; `+Statements` and `+Expressions` hold the grammar.
struct TemplateParser {
    let tokens: [TemplateToken]
    var index = 0
    private var depth = 0
    var loopDepth = 0

    /// Maximum nesting of tags and brackets.
    static let maximumDepth = 64
    /// Maximum attributes, items, calls and filters on one value.
    static let maximumPostfixes = 64

    static func parse(_ source: [Unicode.Scalar]) throws -> [TemplateStatement] {
        var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: source))
        return try parser.statements(until: [])
    }

    private init(tokens: [TemplateToken]) { self.tokens = tokens }

    var current: TemplateToken { tokens[index] }
    var offset: Int { tokens[index].offset }

    func fault(_ reason: String, at offset: Int? = nil) -> TemplateFault {
        TemplateFault(reason, kind: .syntax, at: offset ?? self.offset)
    }

    mutating func advance() { if index + 1 < tokens.count { index += 1 } }

    func isSymbol(_ symbol: String) -> Bool { current.kind == .symbol(symbol) }
    func isName(_ name: String) -> Bool { current.kind == .name(name) }

    mutating func skipSymbol(_ symbol: String) -> Bool {
        guard isSymbol(symbol) else { return false }
        advance()
        return true
    }

    mutating func skipName(_ name: String) -> Bool {
        guard isName(name) else { return false }
        advance()
        return true
    }

    mutating func expect(_ symbol: String) throws {
        guard skipSymbol(symbol) else { throw fault("expected \"\(symbol)\", found \(found)") }
    }

    mutating func expectBlockEnd() throws {
        guard current.kind == .blockEnd else { throw fault("expected the end of the tag, found \(found)") }
        advance()
    }

    mutating func identifier() throws -> String {
        guard case .name(let name) = current.kind else { throw fault("expected a name, found \(found)") }
        advance()
        return name
    }

    var found: String {
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

    mutating func nested<Result>(_ body: (inout TemplateParser) throws -> Result) throws -> Result {
        guard depth < Self.maximumDepth else { throw fault("nested more than \(Self.maximumDepth) levels deep") }
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }
}
