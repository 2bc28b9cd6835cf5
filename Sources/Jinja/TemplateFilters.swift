/// Jinja's filters, with `tojson` as in transformers.
enum TemplateFilters {
    static let names: Set<String> = [
        "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "indent", "int", "items", "join",
        "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round",
        "safe", "select", "selectattr", "sort", "string", "sum", "title", "tojson", "trim", "unique", "upper",
        "wordcount",
    ]

    static func apply(
        _ name: String, to value: TemplateValue, _ arguments: inout TemplateCallArguments,
        _ evaluator: inout TemplateEvaluator
    ) throws -> TemplateValue {
        let result: TemplateValue
        switch name {
        case "default", "d":
            let fallback = arguments.next("default_value") ?? .string("")
            let alsoFalse = arguments.bool("boolean", default: false)
            result = value.isUndefined || (alsoFalse && !value.isTrue) ? fallback : value
        case "length", "count": result = .int(try length(value, &evaluator.budget))
        case "list": result = .list(try evaluator.elements(of: value))
        case "items":
            switch value {
            case .undefined: result = .list([])
            case .dictionary(let members):
                try evaluator.budget.spend(members.count * 8)
                result = .list(members.entries.map { .tuple([$0.key, $0.value]) })
            default: throw TemplateFault("\"items\" needs a dictionary, not \(value.kindName)")
            }
        case "tojson": result = try TemplateJSON.filter(value, &arguments, &evaluator)
        case "string", "safe": result = .string(try evaluator.text(value))
        case "upper", "lower", "capitalize", "title", "trim", "wordcount", "replace", "indent":
            result = try applyToText(name, try evaluator.text(value), &arguments, &evaluator)
        case "abs", "int", "float", "round": result = try applyToNumber(name, value, &arguments)
        case "map", "select", "reject", "selectattr", "rejectattr":
            // As in Jinja, a false value such as none has no elements.
            let elements = value.isTrue ? try evaluator.elements(of: value) : []
            result = try applyToEach(name, elements, &arguments, &evaluator)
        case "dictsort":
            guard case .dictionary(let members) = value else {
                throw TemplateFault("\"dictsort\" needs a dictionary, not \(value.kindName)")
            }
            let caseSensitive = arguments.bool("case_sensitive", default: false)
            let byValue = arguments.next("by").map { $0.isEqual(to: .string("value")) } ?? false
            let reverse = arguments.bool("reverse", default: false)
            let pairs = members.entries.map { entry -> (key: TemplateValue, element: TemplateValue) in
                (byValue ? entry.value : entry.key, .tuple([entry.key, entry.value]))
            }
            result = .list(try sorted(pairs, caseSensitive, reverse, &evaluator.budget))
        default:
            result = try applyToList(name, value, &arguments, &evaluator)
        }
        try arguments.finish("the filter \"\(name)\"")
        return result
    }

    private static func length(_ value: TemplateValue, _ budget: inout TemplateBudget) throws -> Int {
        switch value {
        case .undefined: return 0
        case .string(let text):
            try budget.spend(text.utf8.count / 8)
            return text.unicodeScalars.count
        case .list(let elements), .tuple(let elements): return elements.count
        case .dictionary(let members): return members.count
        case .loop(let loop): return loop.items.count
        default: throw TemplateFault("\(value.kindName) has no length")
        }
    }

    private static func applyToText(
        _ name: String, _ text: String, _ arguments: inout TemplateCallArguments,
        _ evaluator: inout TemplateEvaluator
    ) throws -> TemplateValue {
        try evaluator.budget.spend(text.utf8.count * 4)
        if let recased = TemplateText.recased(text, by: name) { return .string(recased) }
        switch name {
        case "wordcount": return .int(TemplateText.splitAtSpace(text, limit: .max).count)
        case "replace":
            let old = try arguments.string("s_old", of: name)
            let new = try arguments.string("s_new", of: name)
            let limit = try arguments.integer("count", of: name, default: -1)
            return .string(
                try TemplateStringMethods.replaced(text, old, new, limit < 0 ? .max : limit, &evaluator.budget))
        case "indent": return .string(try indented(text, &arguments, &evaluator.budget))
        default:
            let characters = try arguments.next("chars").flatMap { chars -> String? in
                if case .none = chars { return nil }
                guard case .string(let text) = chars else { throw TemplateFault("\"trim\" needs a string") }
                return text
            }
            return .string(TemplateText.stripped(text, characters))
        }
    }

    private static func indented(
        _ text: String, _ arguments: inout TemplateCallArguments, _ budget: inout TemplateBudget
    ) throws -> String {
        let width = arguments.next("width") ?? .int(4)
        let first = arguments.bool("first", default: false)
        let blank = arguments.bool("blank", default: false)
        let indentation: String
        if case .string(let given) = width {
            indentation = given
        } else if let count = width.integer {
            try budget.spend(max(count, 0))
            indentation = String(repeating: " ", count: max(count, 0))
        } else {
            throw TemplateFault("\"indent\" needs a width")
        }
        let hasFinalNewline = text.unicodeScalars.last == "\n"
        let lines = TemplateText.lines(text) + (hasFinalNewline ? [""] : [])
        let (size, overflow) = lines.count.multipliedReportingOverflow(by: indentation.utf8.count)
        try budget.spend(overflow ? .max : size)
        var result = ""
        for (index, line) in lines.enumerated() {
            if index > 0 { result += "\n" }
            if index == 0 ? first : blank || !line.isEmpty { result += indentation }
            result += line
        }
        return result
    }

    private static func applyToNumber(
        _ name: String, _ value: TemplateValue, _ arguments: inout TemplateCallArguments
    ) throws -> TemplateValue {
        switch name {
        case "int":
            let fallback = arguments.next("default") ?? .int(0)
            if let integer = value.integer { return .int(integer) }
            if let number = value.number {
                return Int(exactly: number.rounded(.towardZero)).map { .int($0) } ?? fallback
            }
            guard case .string(let text) = value else { return fallback }
            let trimmed = TemplateText.stripped(text, nil)
            if let integer = Int(trimmed) { return .int(integer) }
            guard let number = Double(trimmed) else { return fallback }
            return Int(exactly: number.rounded(.towardZero)).map { .int($0) } ?? fallback
        case "float":
            let fallback = arguments.next("default") ?? .double(0)
            if let number = value.number { return .double(number) }
            guard case .string(let text) = value else { return fallback }
            return Double(TemplateText.stripped(text, nil)).map { .double($0) } ?? fallback
        case "abs":
            if let integer = value.integer {
                guard integer != .min else { throw TemplateFault("the number does not fit in 64 bits") }
                return .int(Swift.abs(integer))
            }
            if let number = value.number { return .double(Swift.abs(number)) }
        default:
            let precision = try arguments.integer("precision", of: name, default: 0)
            let method = arguments.next("method")?.text ?? "common"
            guard (0...15).contains(precision), let rule = ["common", "ceil", "floor"].firstIndex(of: method) else {
                throw TemplateFault("\"round\" takes a precision from 0 to 15 and common, ceil or floor")
            }
            if let number = value.number {
                var scale = 1.0
                for _ in 0..<precision { scale *= 10 }
                let rules: [FloatingPointRoundingRule] = [.toNearestOrEven, .up, .down]
                return .double((number * scale).rounded(rules[rule]) / scale)
            }
        }
        throw TemplateFault("\"\(name)\" needs a number, not \(value.kindName)")
    }

    private static func applyToList(
        _ name: String, _ value: TemplateValue, _ arguments: inout TemplateCallArguments,
        _ evaluator: inout TemplateEvaluator
    ) throws -> TemplateValue {
        if name == "reverse", case .string(let text) = value {
            try evaluator.budget.spend(text.utf8.count)
            return .string(String(String.UnicodeScalarView(text.unicodeScalars.reversed())))
        }
        if name == "join", case .string = value, arguments.positional.isEmpty, arguments.named.isEmpty {
            return value
        }
        let elements = try evaluator.elements(of: value)
        switch name {
        case "first": return elements.first ?? .undefined("there is no first element")
        case "last": return elements.last ?? .undefined("there is no last element")
        case "reverse": return .list(elements.reversed())
        case "join":
            let separator = try arguments.next("d").map { try evaluator.text($0) } ?? ""
            var picked = elements
            if let path = arguments.next("attribute") {
                picked = try elements.map { try attribute(path, of: $0) }
            }
            return .string(try TemplateStringMethods.join(picked, with: separator, &evaluator, onlyStrings: false))
        case "sum":
            let path = arguments.next("attribute")
            var total = arguments.next("start") ?? .int(0)
            for element in elements {
                let term = try path.map { try attribute($0, of: element) } ?? element
                total = try TemplateOperators.apply("+", total, term, &evaluator.budget)
            }
            return total
        default:
            let reverse = name == "sort" ? arguments.bool("reverse", default: false) : name == "max"
            let caseSensitive = arguments.bool("case_sensitive", default: false)
            let path = arguments.next("attribute")
            var keyed: [(key: TemplateValue, element: TemplateValue)] = []
            for element in elements {
                keyed.append((try path.map { try attribute($0, of: element) } ?? element, element))
            }
            if name == "unique" { return .list(try unique(keyed, caseSensitive, &evaluator.budget)) }
            let ordered = try sorted(keyed, caseSensitive, reverse, &evaluator.budget)
            if name == "sort" { return .list(ordered) }
            return ordered.first ?? .undefined("there are no elements")
        }
    }

    private static func unique(
        _ keyed: [(key: TemplateValue, element: TemplateValue)], _ caseSensitive: Bool,
        _ budget: inout TemplateBudget
    ) throws -> [TemplateValue] {
        var seen: Set<TemplateKey> = []
        var result: [TemplateValue] = []
        for (key, element) in keyed {
            try budget.spendText(of: key)
            if seen.insert(try TemplateDictionary.key(folded(key, caseSensitive))).inserted { result.append(element) }
        }
        return result
    }

    private static func folded(_ value: TemplateValue, _ caseSensitive: Bool) -> TemplateValue {
        if !caseSensitive, case .string(let text) = value { return .string(text.lowercased()) }
        return value
    }

    /// Sorts by key; the sort is stable.
    private static func sorted(
        _ keyed: [(key: TemplateValue, element: TemplateValue)], _ caseSensitive: Bool, _ reverse: Bool,
        _ budget: inout TemplateBudget
    ) throws -> [TemplateValue] {
        var items: [(key: TemplateValue, element: TemplateValue, index: Int)] = []
        for (index, item) in keyed.enumerated() {
            try budget.spendText(of: item.key)
            items.append((folded(item.key, caseSensitive), item.element, index))
        }
        var spent = budget
        try items.sort { left, right in
            try spent.spend(8)
            let order = try TemplateOperators.order(left.key, right.key)
            if order == 0 { return left.index < right.index }
            return reverse ? order > 0 : order < 0
        }
        budget = spent
        return items.map(\.element)
    }

    /// A member by name, index or dotted path.
    private static func attribute(_ path: TemplateValue, of element: TemplateValue) throws -> TemplateValue {
        var value = element
        let parts = path.integer.map { [String($0)] } ?? TemplateText.split(path.text, by: ".", limit: 64)
        for part in parts {
            switch try value.orFault() {
            case .dictionary(let members): value = members[part] ?? .undefined("there is no \"\(part)\"")
            case .list(let elements), .tuple(let elements):
                guard let index = Int(part), elements.indices.contains(index) else {
                    return .undefined("there is no \"\(part)\"")
                }
                value = elements[index]
            default: return .undefined("\(value.kindName) has no \"\(part)\"")
            }
        }
        return value
    }

    private static func applyToEach(
        _ name: String, _ elements: [TemplateValue], _ arguments: inout TemplateCallArguments,
        _ evaluator: inout TemplateEvaluator
    ) throws -> TemplateValue {
        if name == "map" {
            if let index = arguments.named.firstIndex(where: { $0.name == "attribute" }) {
                let path = arguments.named.remove(at: index).value
                let fallback = arguments.next("default")
                return .list(
                    try elements.map { element in
                        let value = try attribute(path, of: element)
                        return value.isUndefined ? fallback ?? value : value
                    })
            }
            let filter = try arguments.string("filter", of: name)
            guard names.contains(filter), filter != "map" else {
                throw TemplateFault("\"map\" with the filter \"\(filter)\" is not supported")
            }
            let given = arguments
            arguments = TemplateCallArguments()
            var result: [TemplateValue] = []
            for element in elements {
                var copy = given
                result.append(try apply(filter, to: element, &copy, &evaluator))
            }
            return .list(result)
        }
        let path = name.hasSuffix("attr") ? try arguments.required("attribute", of: name) : nil
        let test = try arguments.next("test").map { value -> String in
            guard TemplateTests.names.contains(value.text) else {
                throw TemplateFault("the test \"\(value.text)\" is not supported")
            }
            return value.text
        }
        let given = arguments
        arguments = TemplateCallArguments()
        let keeps = name.hasPrefix("select")
        var result: [TemplateValue] = []
        for element in elements {
            let value = try path.map { try attribute($0, of: element) } ?? element
            let holds =
                try test.map { try TemplateTests.apply($0, to: value, given, &evaluator.budget) } ?? value.isTrue
            if holds == keeps { result.append(element) }
        }
        return .list(result)
    }
}
