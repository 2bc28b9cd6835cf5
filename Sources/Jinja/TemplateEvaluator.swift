/// Where control goes after a statement.
enum TemplateFlow { case onwards, leaveLoop, nextRound }

/// Executes the syntax tree of a template; each rendering needs a new evaluator.
struct TemplateEvaluator {
    var budget = TemplateBudget()
    var output: [UInt8] = []
    var scope: TemplateScope
    /// Scopes that macros captured; cleared at the end, because they form reference cycles with those macros.
    private var macroScopes: [TemplateScope] = []

    static func render(_ statements: [TemplateStatement], variables: [String: TemplateValue]) throws -> String {
        var evaluator = TemplateEvaluator(variables)
        defer { for scope in evaluator.macroScopes { scope.variables = [:] } }
        _ = try evaluator.run(statements)
        return String(decoding: evaluator.output, as: UTF8.self)
    }

    private init(_ variables: [String: TemplateValue]) {
        let globals = TemplateScope(outer: nil)
        for name in TemplateFunctions.names { globals.variables[name] = .function(name) }
        for (name, value) in variables { globals.variables[name] = value }
        scope = TemplateScope(outer: globals)
    }

    mutating func run(_ statements: [TemplateStatement]) throws -> TemplateFlow {
        try budget.enter()
        for statement in statements {
            try budget.spendNode()
            let flow = try run(statement)
            if flow != .onwards {
                budget.leave()
                return flow
            }
        }
        budget.leave()
        return .onwards
    }

    private mutating func emit(_ text: String) throws {
        var text = text
        text.withUTF8 { output.append(contentsOf: $0) }
        guard output.count <= TemplateBudget.maximumOutput else {
            throw TemplateFault("renders more than \(TemplateBudget.maximumOutput >> 20) MiB", kind: .limit)
        }
    }

    private mutating func run(_ statement: TemplateStatement) throws -> TemplateFlow {
        switch statement {
        case .text(let text, let offset):
            try at(offset) {
                try $0.budget.spend(text.utf8.count)
                try $0.emit(text)
            }
        case .output(let expression, let offset):
            try at(offset) { try $0.emit($0.text($0.evaluate(expression))) }
        case .conditional(let branches, let otherwise):
            for branch in branches where try evaluate(branch.condition).isTrue { return try run(branch.body) }
            return try run(otherwise)
        case .loop(let loop): return try at(loop.offset) { try $0.run(loop) }
        case .assignment(let target, let expression, let offset):
            try at(offset) { try $0.assign($0.evaluate(expression), to: target) }
        case .capture(let target, let filters, let body, let offset):
            try at(offset) { try $0.assign($0.filtered(.string($0.captured(body)), by: filters), to: target) }
        case .filtered(let filters, let body, let offset):
            try at(offset) { try $0.emit($0.text($0.filtered(.string($0.captured(body)), by: filters))) }
        case .macro(let macro):
            scope.variables[macro.name] = .macro(TemplateMacroValue(macro, scope: scope))
            if !macroScopes.contains(where: { $0 === scope }) {
                try budget.spend(macroScopes.count)
                macroScopes.append(scope)
            }
        case .with(let values, let body, let offset):
            return try at(offset) { evaluator in
                // Values are evaluated in the outer scope.
                let evaluated = try values.map { try evaluator.evaluate($0.value) }
                return try evaluator.inNewScope { evaluator in
                    for (value, assignment) in zip(evaluated, values) {
                        try evaluator.assign(value, to: assignment.target)
                    }
                    return try evaluator.run(body)
                }
            }
        case .generation(let body): return try run(body)
        case .leaveLoop: return .leaveLoop
        case .nextRound: return .nextRound
        }
        return .onwards
    }

    /// Runs `body` and adds the offset to faults that lack a more exact one.
    mutating func at<Result>(
        _ offset: Int, _ body: (inout TemplateEvaluator) throws -> Result
    ) throws -> Result {
        do {
            return try body(&self)
        } catch let fault as TemplateFault {
            throw fault.located(at: offset)
        }
    }

    private mutating func inNewScope<Result>(
        _ body: (inout TemplateEvaluator) throws -> Result
    ) rethrows -> Result {
        let outer = scope
        scope = TemplateScope(outer: outer)
        defer { scope = outer }
        return try body(&self)
    }

    /// Runs statements and returns their output instead of emitting it.
    private mutating func captured(_ body: [TemplateStatement]) throws -> String {
        let outer = output
        output = []
        defer { output = outer }
        _ = try inNewScope { try $0.run(body) }
        return String(decoding: output, as: UTF8.self)
    }

    private mutating func filtered(_ value: TemplateValue, by filters: [TemplateFilter]) throws -> TemplateValue {
        var value = value
        for filter in filters { value = try apply(filter, to: value) }
        return value
    }

    private mutating func assign(_ value: TemplateValue, to target: TemplateTarget) throws {
        switch target {
        case .name(let name): scope.variables[name] = value
        case .attribute(let name, let member, let offset):
            guard case .namespace(let namespace)? = scope.value(name) else {
                throw TemplateFault("only members of a namespace can be assigned", at: offset)
            }
            try budget.admit(value)
            namespace.members[member] = value
        case .tuple(let targets, let offset):
            let elements = try elements(of: value)
            guard elements.count == targets.count else {
                throw TemplateFault(
                    "the number of values (\(elements.count)) differs from the number of names (\(targets.count))",
                    at: offset)
            }
            for (target, element) in zip(targets, elements) { try assign(element, to: target) }
        }
    }

    private mutating func run(_ loop: TemplateLoop) throws -> TemplateFlow {
        var items = try elements(of: evaluate(loop.iterable))
        if let condition = loop.condition {
            var kept: [TemplateValue] = []
            for item in items {
                let isKept = try inNewScope { evaluator in
                    try evaluator.assign(item, to: loop.target)
                    return try evaluator.evaluate(condition).isTrue
                }
                if isKept { kept.append(item) }
            }
            items = kept
        }
        guard !items.isEmpty else { return try inNewScope { try $0.run(loop.otherwise) } }
        let state = TemplateLoopState(items: items)
        for (index, item) in items.enumerated() {
            try budget.spendNode()
            state.index = index
            let flow = try inNewScope { evaluator in
                evaluator.scope.variables["loop"] = .loop(state)
                try evaluator.assign(item, to: loop.target)
                return try evaluator.run(loop.body)
            }
            if flow == .leaveLoop { break }
        }
        return .onwards
    }
}
