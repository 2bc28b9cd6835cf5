/// What one rendering may use. Templates come with models from anywhere, so all of it is bounded.
struct TemplateBudget {
    /// Bytes of text read and made, elements visited (8) and nodes evaluated (16), together: bounds time and memory.
    private var steps = 100_000_000
    /// Statements, expressions and macro calls inside each other.
    private var depth = 0

    static let maximumDepth = 256
    /// Bytes of the rendered prompt.
    static let maximumOutput = 64 << 20
    /// Elements of a `range`, as in the sandbox of Jinja.
    static let maximumRange = 100_000
    /// Lists inside each other.
    static let maximumNesting = 150

    mutating func spendNode() throws { try spend(16) }

    mutating func spend(_ count: Int) throws {
        guard count <= steps else {
            throw TemplateFault("needs more time or memory than a chat template may use", kind: .limit)
        }
        steps -= max(count, 0)
    }

    mutating func enter() throws {
        guard depth < Self.maximumDepth else { throw TemplateFault("nested too deeply", kind: .limit) }
        depth += 1
    }

    mutating func leave() { depth -= 1 }

    /// Pays for a text of this value before it is made.
    mutating func spendText(of value: TemplateValue) throws { try spend(value.approximateSize(limit: steps)) }

    /// Admits a value into a container: only data, and not nested without bound, so that nothing refers to itself.
    mutating func admit(_ value: TemplateValue, nesting: Int = 0) throws {
        try spend(8)
        guard nesting < Self.maximumNesting else { throw TemplateFault("lists nested too deeply", kind: .limit) }
        switch value {
        case .list(let elements), .tuple(let elements):
            for element in elements { try admit(element, nesting: nesting + 1) }
        case .dictionary(let members):
            for entry in members.entries { try admit(entry.value, nesting: nesting + 1) }
        case .namespace, .loop, .macro, .function, .method:
            throw TemplateFault("\(value.kindName) cannot be kept inside another value")
        case .undefined, .none, .bool, .int, .double, .string: break
        }
    }
}
