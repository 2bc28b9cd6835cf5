/// Python methods of dictionaries, lists and `loop`; those of strings are in `TemplateStringMethods`.
enum TemplateMethods {
    static let ofDictionaries: Set<String> = ["items", "keys", "values", "get", "copy"]
    static let ofLists: Set<String> = ["index", "count", "copy"]
    static let thatChangeLists: Set<String> = [
        "append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse",
    ]

    static func call(
        _ name: String, on receiver: TemplateValue, _ arguments: inout TemplateCallArguments,
        _ evaluator: inout TemplateEvaluator
    ) throws -> TemplateValue {
        let result: TemplateValue
        switch receiver {
        case .string(let text): result = try TemplateStringMethods.call(name, text, &arguments, &evaluator)
        case .dictionary(let members): result = try call(name, members, &arguments, &evaluator)
        case .list(let elements), .tuple(let elements):
            switch name {
            case "copy": result = receiver
            default:
                let wanted = try arguments.required("value", of: name)
                try evaluator.budget.spendText(of: receiver)
                let positions = elements.indices.filter { elements[$0].isEqual(to: wanted) }
                if name == "count" {
                    result = .int(positions.count)
                } else {
                    guard let first = positions.first else { throw TemplateFault("the list has no such element") }
                    result = .int(first)
                }
            }
        case .loop(let loop): result = try call(name, loop, &arguments, &evaluator)
        default: throw TemplateFault("\(receiver.kindName) has no method \"\(name)\"")
        }
        try arguments.finish("\"\(name)\"")
        return result
    }

    private static func call(
        _ name: String, _ loop: TemplateLoopState, _ arguments: inout TemplateCallArguments,
        _ evaluator: inout TemplateEvaluator
    ) throws -> TemplateValue {
        let values = arguments.positional
        arguments.positional = []
        if name == "cycle" {
            guard !values.isEmpty else { throw TemplateFault("\"cycle\" needs at least one value") }
            return values[loop.index % values.count]
        }
        for value in values { try evaluator.budget.spendText(of: value) }
        let isSame = loop.lastChecked.map { last in
            last.count == values.count && zip(last, values).allSatisfy { $0.isEqual(to: $1) }
        }
        loop.lastChecked = values
        return .bool(!(isSame ?? false))
    }

    private static func call(
        _ name: String, _ members: TemplateDictionary, _ arguments: inout TemplateCallArguments,
        _ evaluator: inout TemplateEvaluator
    ) throws -> TemplateValue {
        switch name {
        case "get":
            let key = try arguments.required("key", of: name)
            let fallback = arguments.next("default") ?? .none
            try evaluator.budget.spendText(of: key)
            return try members.value(for: key) ?? fallback
        case "copy": return .dictionary(members)
        default:
            try evaluator.budget.spend(members.count * 8)
            switch name {
            case "items": return .list(members.entries.map { .tuple([$0.key, $0.value]) })
            case "keys": return .list(members.entries.map(\.key))
            default: return .list(members.entries.map(\.value))
            }
        }
    }
}
