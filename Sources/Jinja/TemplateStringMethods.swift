import OrderedJSON

/// Python methods of strings.
enum TemplateStringMethods {
    static let names: Set<String> = [
        "split", "rsplit", "splitlines", "strip", "lstrip", "rstrip", "startswith", "endswith", "upper", "lower",
        "capitalize", "title", "replace", "find", "rfind", "count", "join", "isdigit", "isalpha", "isalnum", "isspace",
        "isupper", "islower", "removeprefix", "removesuffix", "zfill", "partition", "rpartition", "index",
        "format",
    ]

    static func call(
        _ name: String, _ text: String, _ arguments: inout TemplateCallArguments,
        _ evaluator: inout TemplateEvaluator
    ) throws -> TemplateValue {
        // Every method reads the text, and most produce one of similar size.
        try evaluator.budget.spend(text.utf8.count * 4)
        if let recased = TemplateText.recased(text, by: name) { return .string(recased) }
        switch name {
        case "splitlines": return .list(TemplateText.lines(text).map { .string($0) })
        case "strip", "lstrip", "rstrip":
            let characters = try optionalString("characters", name, &arguments)
            return .string(
                TemplateText.stripped(text, characters, start: name != "rstrip", end: name != "lstrip"))
        case "split", "rsplit": return try split(name, text, &arguments)
        case "partition", "rpartition": return try partition(name, text, &arguments)
        case "startswith", "endswith": return .bool(try hasAffix(name, text, &arguments))
        case "removeprefix", "removesuffix":
            let affix = try arguments.string("affix", of: name)
            let isPrefix = name == "removeprefix"
            guard has(affix, text, atStart: isPrefix) else { return .string(text) }
            let bytes = text.utf8
            return .string(
                String(
                    decoding: isPrefix ? bytes.dropFirst(affix.utf8.count) : bytes.dropLast(affix.utf8.count),
                    as: UTF8.self))
        case "replace":
            let old = try arguments.string("old", of: name)
            let new = try arguments.string("new", of: name)
            let limit = try arguments.integer("count", of: name, default: -1)
            return .string(try replaced(text, old, new, limit < 0 ? .max : limit, &evaluator.budget))
        case "find", "rfind", "index", "count":
            return .int(try search(name, text, try arguments.string("value", of: name)))
        case "join":
            let elements = try evaluator.elements(of: arguments.required("elements", of: name))
            return .string(try join(elements, with: text, &evaluator, onlyStrings: true))
        case "format": return .string(try formatted(text, &arguments, &evaluator))
        case "zfill":
            let width = try arguments.integer("width", of: name, default: 0)
            let missing = width - text.unicodeScalars.count
            guard missing > 0 else { return .string(text) }
            try evaluator.budget.spend(missing)
            let sign = text.first.map { "+-".contains($0) } ?? false ? text.removingFirst().first : ""
            return .string(
                sign + String(repeating: "0", count: missing) + (sign.isEmpty ? text : text.removingFirst().rest))
        default: return .bool(holds(name, text))
        }
    }

    /// `str.format` with the fields `{}`, `{0}` and `{name}`, without conversions or format specifiers.
    private static func formatted(
        _ text: String, _ arguments: inout TemplateCallArguments, _ evaluator: inout TemplateEvaluator
    ) throws -> String {
        let (positional, named) = (arguments.positional, arguments.named)
        arguments = TemplateCallArguments()
        let scalars = Array(text.unicodeScalars)
        var result = TextBuffer()
        var position = 0
        var automatic = 0
        while position < scalars.count {
            let scalar = scalars[position]
            position += 1
            if scalar == "{" || scalar == "}", position < scalars.count, scalars[position] == scalar {
                result.append(scalar)
                position += 1
            } else if scalar == "{" {
                guard let end = scalars[position...].firstIndex(of: "}") else {
                    throw TemplateFault("\"format\" found \"{\" without \"}\"")
                }
                let field = String(String.UnicodeScalarView(scalars[position..<end]))
                position = end + 1
                let index = field.isEmpty ? automatic : Int(field)
                if field.isEmpty { automatic += 1 }
                let value =
                    index.map { positional.indices.contains($0) ? positional[$0] : nil }
                    ?? named.first { $0.name == field }?.value
                guard let value else {
                    throw TemplateFault("\"format\" cannot fill the field \"{\(field)}\"")
                }
                result.append(try evaluator.text(value))
            } else if scalar == "}" {
                throw TemplateFault("\"format\" found \"}\" without \"{\"")
            } else {
                result.append(scalar)
            }
        }
        return result.text
    }

    private static func optionalString(
        _ name: String, _ callee: String, _ arguments: inout TemplateCallArguments
    ) throws -> String? {
        switch try arguments.next(name)?.orFault() {
        case nil, .some(.none): return nil
        case .string(let text): return text
        case .some(let value): throw TemplateFault("\"\(callee)\" needs a string, not \(value.kindName)")
        }
    }

    private static func split(
        _ name: String, _ text: String, _ arguments: inout TemplateCallArguments
    ) throws -> TemplateValue {
        let separator = try optionalString("sep", name, &arguments)
        let given = try arguments.integer("maxsplit", of: name, default: -1)
        let limit = given < 0 ? Int.max : given
        let parts: [String]
        if let separator {
            guard !separator.utf8.isEmpty else { throw TemplateFault("\"\(name)\" needs a non-empty separator") }
            parts =
                name == "split"
                ? TemplateText.split(text, by: separator, limit: limit)
                : TemplateText.splitFromRight(text, by: separator, limit: limit)
        } else {
            guard name == "split" || limit == .max else {
                throw TemplateFault("\"rsplit\" with a limit needs a separator")
            }
            parts = TemplateText.splitAtSpace(text, limit: limit)
        }
        return .list(parts.map { .string($0) })
    }

    private static func partition(
        _ name: String, _ text: String, _ arguments: inout TemplateCallArguments
    ) throws -> TemplateValue {
        let separator = try arguments.string("sep", of: name)
        guard !separator.utf8.isEmpty else { throw TemplateFault("\"\(name)\" needs a non-empty separator") }
        let isLeft = name == "partition"
        let parts =
            isLeft
            ? TemplateText.split(text, by: separator, limit: 1)
            : TemplateText.splitFromRight(text, by: separator, limit: 1)
        if parts.count == 2 { return .tuple([.string(parts[0]), .string(separator), .string(parts[1])]) }
        return isLeft
            ? .tuple([.string(text), .string(""), .string("")]) : .tuple([.string(""), .string(""), .string(text)])
    }

    private static func has(_ affix: String, _ text: String, atStart: Bool) -> Bool {
        guard affix.utf8.count <= text.utf8.count else { return false }
        return atStart
            ? text.utf8.starts(with: affix.utf8) : text.utf8.suffix(affix.utf8.count).elementsEqual(affix.utf8)
    }

    private static func hasAffix(
        _ name: String, _ text: String, _ arguments: inout TemplateCallArguments
    ) throws -> Bool {
        let value = try arguments.required("affix", of: name).orFault()
        var affixes = [value]
        if case .tuple(let several) = value { affixes = several }
        return try affixes.contains { affix in
            guard case .string(let affix) = affix else {
                throw TemplateFault("\"\(name)\" needs a string, not \(affix.kindName)")
            }
            return has(affix, text, atStart: name == "startswith")
        }
    }

    static func replaced(
        _ text: String, _ old: String, _ new: String, _ limit: Int, _ budget: inout TemplateBudget
    ) throws -> String {
        let most = old.utf8.isEmpty ? text.utf8.count + 1 : text.utf8.count / old.utf8.count
        let (size, overflow) = min(most, limit).multipliedReportingOverflow(by: new.utf8.count)
        // Counts the occurrences only if the upper bound is large.
        if overflow || size > 1 << 20 {
            let count =
                old.utf8.isEmpty
                ? most : TemplateText.occurrences(of: Array(old.utf8), in: Array(text.utf8), limit: limit).count
            let (exact, overflow) = count.multipliedReportingOverflow(by: new.utf8.count)
            try budget.spend(overflow ? .max : exact)
        } else {
            try budget.spend(size)
        }
        return TemplateText.replaced(text, old, new, limit: limit)
    }

    /// The position in code points, or -1; for `count`, the number of occurrences.
    private static func search(_ name: String, _ text: String, _ wanted: String) throws -> Int {
        let bytes = Array(text.utf8)
        if wanted.utf8.isEmpty {
            return name == "count" ? text.unicodeScalars.count + 1 : name == "rfind" ? text.unicodeScalars.count : 0
        }
        if name == "count" { return TemplateText.occurrences(of: Array(wanted.utf8), in: bytes).count }
        let position: Int?
        if name == "rfind" {
            let reversed = TemplateText.occurrences(of: wanted.utf8.reversed(), in: bytes.reversed(), limit: 1)
            position = reversed.first.map { bytes.count - $0 - wanted.utf8.count }
        } else {
            position = TemplateText.occurrences(of: Array(wanted.utf8), in: bytes, limit: 1).first
        }
        guard let position else {
            if name == "index" { throw TemplateFault("\"index\" did not find the text") }
            return -1
        }
        return String(decoding: bytes[..<position], as: UTF8.self).unicodeScalars.count
    }

    static func join(
        _ elements: [TemplateValue], with separator: String, _ evaluator: inout TemplateEvaluator,
        onlyStrings: Bool
    ) throws -> String {
        try evaluator.budget.spend(
            separator.utf8.count.multipliedReportingOverflow(by: max(elements.count, 1)).partialValue)
        var texts: [String] = []
        for element in elements {
            if onlyStrings {
                guard case .string = try element.orFault() else {
                    throw TemplateFault("\"join\" needs strings, not \(element.kindName)")
                }
            }
            texts.append(try evaluator.text(element))
        }
        return texts.joined(separator: separator)
    }

    private static func holds(_ name: String, _ text: String) -> Bool {
        let scalars = text.unicodeScalars
        guard !scalars.isEmpty else { return false }
        switch name {
        case "isspace": return scalars.allSatisfy(TemplateText.isSpace)
        case "isdigit":
            return scalars.allSatisfy { $0.properties.numericType == .decimal || $0.properties.numericType == .digit }
        case "isalpha": return scalars.allSatisfy(isLetter)
        case "isalnum": return scalars.allSatisfy { isLetter($0) || $0.properties.numericType != nil }
        case "isupper":
            return scalars.contains { $0.properties.isUppercase } && !scalars.contains { $0.properties.isLowercase }
        default:
            return scalars.contains { $0.properties.isLowercase } && !scalars.contains { $0.properties.isUppercase }
        }
    }

    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }
}

extension String {
    /// The first scalar and the rest.
    fileprivate func removingFirst() -> (first: String, rest: String) {
        let scalars = unicodeScalars
        return (scalars.first.map { String($0) } ?? "", String(String.UnicodeScalarView(scalars.dropFirst())))
    }
}
