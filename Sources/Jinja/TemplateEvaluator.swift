import OrderedJSON

/// Renders a tree. One evaluator renders once.
struct TemplateEvaluator {
    var budget = TemplateBudget()
    private var output: [UInt8] = []
    private var scope: TemplateScope
    /// Scopes that macros hold on to; emptied at the end, because those macros are among their variables.
    private var macroScopes: [TemplateScope] = []

    private enum Flow { case onwards, leaveLoop, nextRound }

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

    // MARK: Statements

    private mutating func run(_ statements: [TemplateStatement]) throws -> Flow {
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

    private mutating func run(_ statement: TemplateStatement) throws -> Flow {
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
                // Values are evaluated outside of the block.
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

    /// Gives a fault inside `body` a place, if it has none more exact.
    private mutating func at<Result>(
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

    /// What statements print, instead of printing it.
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
                throw TemplateFault("only a namespace has members that can be set", at: offset)
            }
            try budget.admit(value)
            namespace.members[member] = value
        case .tuple(let targets, let offset):
            let elements = try elements(of: value)
            guard elements.count == targets.count else {
                throw TemplateFault("\(elements.count) values for \(targets.count) names", at: offset)
            }
            for (target, element) in zip(targets, elements) { try assign(element, to: target) }
        }
    }

    private mutating func run(_ loop: TemplateLoop) throws -> Flow {
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

    // MARK: Expressions

    mutating func evaluate(_ expression: TemplateExpression) throws -> TemplateValue {
        try budget.spendNode()
        switch expression {
        case .literal(let literal): return TemplateValue(literal)
        case .name(let name, _): return scope.value(name) ?? .undefined("\"\(name)\" is undefined")
        default:
            try budget.enter()
            let value = try evaluateCompound(expression)
            budget.leave()
            return value
        }
    }

    private mutating func evaluateCompound(_ expression: TemplateExpression) throws -> TemplateValue {
        switch expression {
        case .literal, .name: return try evaluate(expression)
        case .list(let elements): return .list(try admitted(elements))
        case .tuple(let elements): return .tuple(try admitted(elements))
        case .dictionary(let members, let offset): return try at(offset) { try $0.dictionary(members) }
        case .attribute(let base, let name, let offset):
            return try at(offset) { try $0.attribute(name, of: $0.evaluate(base)) }
        case .item(let base, let key, let offset):
            return try at(offset) { try $0.item($0.evaluate(key), of: $0.evaluate(base)) }
        case .slice(let base, let slice, let offset):
            return try at(offset) { try $0.sliced($0.evaluate(base), slice) }
        case .call(let callee, let arguments, let offset):
            return try at(offset) { try $0.call($0.evaluate(callee), $0.evaluate(arguments)) }
        case .filter(let operand, let filter): return try apply(filter, to: evaluate(operand))
        case .test(let operand, let name, let arguments, let isNegated, let offset):
            return try at(offset) { evaluator in
                let value = try evaluator.evaluate(operand)
                let result = try TemplateTests.apply(
                    name, to: value, evaluator.evaluate(arguments), &evaluator.budget)
                return .bool(result != isNegated)
            }
        case .chain(let first, let rest): return try chain(first, rest)
        case .comparison(let first, let rest): return try comparison(first, rest)
        case .concatenation(let operands, let offset):
            return try at(offset) { evaluator in
                var result = ""
                for operand in operands { result += try evaluator.text(evaluator.evaluate(operand)) }
                return .string(result)
            }
        case .and(let operands): return try firstOperand(operands, where: false)
        case .or(let operands): return try firstOperand(operands, where: true)
        case .not(let operand): return .bool(try !evaluate(operand).isTrue)
        case .negative(let operand, let offset):
            return try at(offset) { try TemplateOperators.apply("-", .int(0), $0.evaluate(operand), &$0.budget) }
        case .positive(let operand, let offset):
            return try at(offset) { try TemplateOperators.apply("+", .int(0), $0.evaluate(operand), &$0.budget) }
        case .conditional(let value, let condition, let otherwise, _):
            if try evaluate(condition).isTrue { return try evaluate(value) }
            guard let otherwise else { return .undefined("the condition was false and there is no else") }
            return try evaluate(otherwise)
        }
    }

    /// Python's `and` and `or` give the operand that decided.
    private mutating func firstOperand(
        _ operands: [TemplateExpression], where truth: Bool
    ) throws -> TemplateValue {
        var value = TemplateValue.none
        for operand in operands {
            value = try evaluate(operand)
            if value.isTrue == truth { break }
        }
        return value
    }

    private mutating func admitted(_ expressions: [TemplateExpression]) throws -> [TemplateValue] {
        var values: [TemplateValue] = []
        for expression in expressions {
            let value = try evaluate(expression)
            try budget.admit(value)
            values.append(value)
        }
        return values
    }

    private mutating func dictionary(
        _ members: [(key: TemplateExpression, value: TemplateExpression)]
    ) throws -> TemplateValue {
        var result = TemplateDictionary()
        for member in members {
            let key = try evaluate(member.key)
            let value = try evaluate(member.value)
            try budget.admit(value)
            try budget.spendText(of: key)
            try result.set(key, value)
        }
        return .dictionary(result)
    }

    private mutating func chain(
        _ first: TemplateExpression, _ rest: [(operation: String, operand: TemplateExpression, at: Int)]
    ) throws -> TemplateValue {
        var value = try evaluate(first)
        for (operation, operand, offset) in rest {
            value = try at(offset) {
                let right = try $0.evaluate(operand)
                return try TemplateOperators.apply(operation, value, right, &$0.budget)
            }
        }
        return value
    }

    private mutating func comparison(
        _ first: TemplateExpression, _ rest: [(operation: String, operand: TemplateExpression, at: Int)]
    ) throws -> TemplateValue {
        var left = try evaluate(first)
        for (operation, operand, offset) in rest {
            let right = try evaluate(operand)
            let holds = try at(offset) {
                try TemplateOperators.compare(operation, left, right, &$0.budget)
            }
            guard holds else { return .bool(false) }
            left = right
        }
        return .bool(true)
    }

    /// The text of a value, paid for.
    mutating func text(_ value: TemplateValue) throws -> String {
        try budget.spendText(of: value)
        return value.text
    }

    // MARK: Members

    private mutating func attribute(_ name: String, of base: TemplateValue) throws -> TemplateValue {
        let missing = TemplateValue.undefined("\(base.kindName) has no \"\(name)\"")
        switch base {
        case .undefined(let hint): throw TemplateFault("\(hint), so it has no \"\(name)\"")
        case .dictionary(let members):
            if TemplateMethods.ofDictionaries.contains(name) { return .method(base, name) }
            return members[name] ?? missing
        case .namespace(let namespace): return namespace.members[name] ?? missing
        case .loop(let loop): return loop.attribute(name) ?? missing
        case .string: return TemplateMethods.ofStrings.contains(name) ? .method(base, name) : missing
        case .list, .tuple:
            if TemplateMethods.thatChangeLists.contains(name) {
                throw TemplateFault("lists cannot be changed: \"\(name)\" is not allowed in chat templates")
            }
            return TemplateMethods.ofLists.contains(name) ? .method(base, name) : missing
        default: return missing
        }
    }

    private mutating func item(_ key: TemplateValue, of base: TemplateValue) throws -> TemplateValue {
        let shown = key.approximateSize(limit: 80) < 80 ? key.representation : key.kindName
        let missing = TemplateValue.undefined("\(base.kindName) has no item \(shown)")
        switch base {
        case .undefined(let hint): throw TemplateFault("\(hint), so it has no items")
        case .dictionary(let members):
            try budget.spendText(of: key)
            if let value = try? members.value(for: key) { return value }
        case .list(let elements), .tuple(let elements):
            if let index = key.integer {
                let position = index < 0 ? index + elements.count : index
                return elements.indices.contains(position) ? elements[position] : missing
            }
        case .string(let text):
            if let index = key.integer {
                try budget.spend(text.utf8.count / 16)
                let scalars = text.unicodeScalars
                let position = index < 0 ? index + scalars.count : index
                guard position >= 0,
                    let found = scalars.index(scalars.startIndex, offsetBy: position, limitedBy: scalars.endIndex),
                    found < scalars.endIndex
                else { return missing }
                return .string(String(scalars[found]))
            }
        default: break
        }
        if case .string(let name) = key { return try attribute(name, of: base) }
        return missing
    }

    private mutating func sliced(_ base: TemplateValue, _ slice: TemplateSlice) throws -> TemplateValue {
        func bound(_ expression: TemplateExpression?) throws -> Int? {
            guard let expression else { return nil }
            let value = try evaluate(expression)
            if case .none = value { return nil }
            guard let integer = value.integer else { throw TemplateFault("a slice needs integers") }
            return integer
        }
        let (start, stop, step) = (try bound(slice.start), try bound(slice.stop), try bound(slice.step) ?? 1)
        func picked<Element>(_ elements: [Element]) throws -> [Element] {
            try budget.spend(elements.count)
            return try TemplateOperators.indices(elements.count, start, stop, step).map { elements[$0] }
        }
        switch base {
        case .string(let text):
            return .string(String(String.UnicodeScalarView(try picked(Array(text.unicodeScalars)))))
        case .list(let elements): return .list(try picked(elements))
        case .tuple(let elements): return .tuple(try picked(elements))
        case .undefined(let hint): throw TemplateFault(hint)
        default: throw TemplateFault("\(base.kindName) cannot be sliced")
        }
    }

    /// What a loop over a value visits.
    mutating func elements(of value: TemplateValue) throws -> [TemplateValue] {
        switch value {
        case .undefined: return []
        case .list(let elements), .tuple(let elements):
            try budget.spend(elements.count)
            return elements
        case .dictionary(let members):
            try budget.spend(members.count)
            return members.entries.map(\.key)
        case .string(let text):
            try budget.spend(text.utf8.count * 4)
            return text.unicodeScalars.map { .string(String($0)) }
        default: throw TemplateFault("\(value.kindName) is nothing to loop over")
        }
    }

    // MARK: Calls

    private mutating func evaluate(_ arguments: TemplateArguments) throws -> TemplateCallArguments {
        var result = TemplateCallArguments()
        for argument in arguments.positional { result.positional.append(try evaluate(argument)) }
        for argument in arguments.named { result.named.append((argument.name, try evaluate(argument.value))) }
        return result
    }

    private mutating func apply(_ filter: TemplateFilter, to value: TemplateValue) throws -> TemplateValue {
        try at(filter.offset) { evaluator in
            var arguments = try evaluator.evaluate(filter.arguments)
            return try TemplateFilters.apply(filter.name, to: value, &arguments, &evaluator)
        }
    }

    private mutating func call(
        _ callee: TemplateValue, _ arguments: TemplateCallArguments
    ) throws -> TemplateValue {
        var arguments = arguments
        switch callee {
        case .function(let name): return try TemplateFunctions.call(name, &arguments, &budget)
        case .method(let receiver, let name):
            return try TemplateMethods.call(name, on: receiver, &arguments, &self)
        case .macro(let macro): return .string(try call(macro, &arguments))
        case .undefined(let hint): throw TemplateFault("\(hint), so it cannot be called")
        default: throw TemplateFault("\(callee.kindName) cannot be called")
        }
    }

    private mutating func call(
        _ value: TemplateMacroValue, _ arguments: inout TemplateCallArguments
    ) throws -> String {
        let (outerScope, outerOutput) = (scope, output)
        scope = TemplateScope(outer: value.scope)
        output = []
        defer { (scope, output) = (outerScope, outerOutput) }
        for parameter in value.macro.parameters {
            if let argument = arguments.next(parameter.name) {
                scope.variables[parameter.name] = argument
            } else if let standard = parameter.value {
                scope.variables[parameter.name] = try evaluate(standard)
            } else {
                scope.variables[parameter.name] = .undefined("parameter \"\(parameter.name)\" was not given")
            }
        }
        try arguments.finish("the macro \"\(value.macro.name)\"")
        _ = try run(value.macro.body)
        return String(decoding: output, as: UTF8.self)
    }
}

/// Arguments of a call while a callee takes them.
struct TemplateCallArguments {
    var positional: [TemplateValue] = []
    var named: [(name: String, value: TemplateValue)] = []

    /// The next one by position, else the one of that name.
    mutating func next(_ name: String) -> TemplateValue? {
        if !positional.isEmpty { return positional.removeFirst() }
        guard let index = named.firstIndex(where: { $0.name == name }) else { return nil }
        return named.remove(at: index).value
    }

    mutating func required(_ name: String, of callee: String) throws -> TemplateValue {
        guard let value = next(name) else { throw TemplateFault("\(callee) needs the argument \"\(name)\"") }
        return value
    }

    mutating func string(_ name: String, of callee: String) throws -> String {
        let value = try required(name, of: callee).orFault()
        guard case .string(let text) = value else {
            throw TemplateFault("\(callee) needs a string, not \(value.kindName)")
        }
        return text
    }

    mutating func integer(_ name: String, of callee: String, default fallback: Int) throws -> Int {
        guard let value = next(name) else { return fallback }
        guard let integer = value.integer else {
            throw TemplateFault("\(callee) needs an integer, not \(value.kindName)")
        }
        return integer
    }

    mutating func bool(_ name: String, default fallback: Bool) -> Bool { next(name)?.isTrue ?? fallback }

    /// Refuses what was given and not taken.
    func finish(_ callee: String) throws {
        if let extra = named.first { throw TemplateFault("\(callee) has no argument \"\(extra.name)\"") }
        guard positional.isEmpty else { throw TemplateFault("too many arguments for \(callee)") }
    }
}
