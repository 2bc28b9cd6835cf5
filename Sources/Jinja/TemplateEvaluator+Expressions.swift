extension TemplateEvaluator {
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

    /// Returns the operand that decides an `and` or `or`, as Python does.
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

    /// The text of a value, charged to the budget.
    mutating func text(_ value: TemplateValue) throws -> String {
        try budget.spendText(of: value)
        return value.text
    }

    private mutating func evaluate(_ arguments: TemplateArguments) throws -> TemplateCallArguments {
        var result = TemplateCallArguments()
        for argument in arguments.positional { result.positional.append(try evaluate(argument)) }
        for argument in arguments.named { result.named.append((argument.name, try evaluate(argument.value))) }
        return result
    }

    mutating func apply(_ filter: TemplateFilter, to value: TemplateValue) throws -> TemplateValue {
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
