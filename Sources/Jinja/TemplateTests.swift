/// Jinja's tests, the names after `is`.
enum TemplateTests {
    static let names: Set<String> = [
        "defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "iterable",
        "sequence", "callable", "true", "false", "equalto", "eq", "==", "ne", "in", "odd", "even", "divisibleby",
        "lower", "upper", "sameas", "lt", "le", "gt", "ge", "lessthan", "greaterthan",
    ]

    static func apply(
        _ name: String, to value: TemplateValue, _ given: TemplateCallArguments, _ budget: inout TemplateBudget
    ) throws -> Bool {
        var arguments = given
        let result: Bool
        switch name {
        case "defined": result = !value.isUndefined
        case "undefined": result = value.isUndefined
        case "none": if case .none = value { result = true } else { result = false }
        case "string": if case .string = value { result = true } else { result = false }
        case "number": result = value.number != nil
        case "integer": if case .int = value { result = true } else { result = false }
        case "float": if case .double = value { result = true } else { result = false }
        case "boolean": if case .bool = value { result = true } else { result = false }
        case "true": if case .bool(true) = value { result = true } else { result = false }
        case "false": if case .bool(false) = value { result = true } else { result = false }
        case "mapping": if case .dictionary = value { result = true } else { result = false }
        case "iterable", "sequence":
            switch value {
            case .undefined, .string, .list, .tuple, .dictionary: result = true
            default: result = false
            }
        case "callable":
            switch value {
            case .function, .macro, .method: result = true
            default: result = false
            }
        case "odd", "even", "divisibleby":
            guard let integer = try value.orFault().integer else {
                throw TemplateFault("\"\(name)\" needs an integer, not \(value.kindName)")
            }
            let divisor = name == "divisibleby" ? try arguments.integer("num", of: name, default: 0) : 2
            guard divisor != 0 else { throw TemplateFault("division by zero") }
            result = (integer.remainderReportingOverflow(dividingBy: divisor).partialValue != 0) == (name == "odd")
        case "lower", "upper":
            try budget.spendText(of: value)
            let text = value.text.unicodeScalars
            let (lower, upper) = (
                text.contains { $0.properties.isLowercase }, text.contains { $0.properties.isUppercase }
            )
            result = name == "lower" ? lower && !upper : upper && !lower
        default:
            let other = try arguments.required("other", of: name)
            let operations = [
                "equalto": "==", "eq": "==", "==": "==", "sameas": "==", "ne": "!=", "in": "in", "lt": "<",
                "lessthan": "<", "le": "<=", "gt": ">", "greaterthan": ">", "ge": ">=",
            ]
            result = try TemplateOperators.compare(operations[name] ?? "==", value, other, &budget)
        }
        try arguments.finish("the test \"\(name)\"")
        return result
    }
}
