/// The limits of one rendering; templates are untrusted input.
struct TemplateBudget {
    /// Remaining cost: 1 per byte of text read or made, 8 per element, 16 per node; bounds time and memory.
    private var steps = 100_000_000
    /// Current nesting of statements, expressions and macro calls.
    private var depth = 0

    static let maximumDepth = 256
    /// Maximum bytes of the rendered prompt.
    static let maximumOutput = 64 << 20
    /// Maximum elements of a `range`, as in Jinja's sandbox.
    static let maximumRange = 100_000
    /// Maximum nesting of lists and dictionaries.
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

    /// Charges the text of a value before it is made.
    mutating func spendText(of value: TemplateValue) throws { try spend(value.approximateSize(limit: steps)) }

    /// Checks that a value may be stored in a container.
    ///
    /// Only data of bounded nesting is allowed, so that no reference cycle can form.
    mutating func admit(_ value: TemplateValue, nesting: Int = 0) throws {
        try spend(8)
        guard nesting < Self.maximumNesting else { throw TemplateFault("lists nested too deeply", kind: .limit) }
        switch value {
        case .list(let elements), .tuple(let elements):
            for element in elements { try admit(element, nesting: nesting + 1) }
        case .dictionary(let members):
            for entry in members.entries { try admit(entry.value, nesting: nesting + 1) }
        case .namespace, .loop, .macro, .function, .method:
            throw TemplateFault("\(value.kindName) cannot be stored in another value")
        case .undefined, .none, .bool, .int, .double, .string: break
        }
    }
}
