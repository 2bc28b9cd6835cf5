import OrderedJSON

/// The filter `tojson`: Python's `json.dumps` as transformers calls it, without HTML escapes.
enum TemplateJSON {
    static func filter(
        _ value: TemplateValue, _ arguments: inout TemplateCallArguments, _ evaluator: inout TemplateEvaluator
    ) throws -> TemplateValue {
        var writer = Writer()
        writer.isASCII = arguments.bool("ensure_ascii", default: false)
        switch arguments.next("indent") {
        case nil, .some(.none): break
        case .string(let text): writer.indentation = text
        case .some(let value):
            guard let count = value.integer, (0...64).contains(count) else {
                throw TemplateFault("\"tojson\" takes an indent from 0 to 64")
            }
            writer.indentation = String(repeating: " ", count: count)
        }
        if writer.indentation != nil { writer.itemSeparator = "," }
        switch arguments.next("separators") {
        case nil, .some(.none): break
        case .tuple(let pair), .list(let pair):
            guard pair.count == 2 else { throw TemplateFault("\"tojson\" takes two separators") }
            (writer.itemSeparator, writer.keySeparator) = (pair[0].text, pair[1].text)
        default: throw TemplateFault("\"tojson\" takes two separators")
        }
        writer.sortsKeys = arguments.bool("sort_keys", default: false)
        try writer.write(value, level: 0, &evaluator.budget)
        return .string(writer.output.text)
    }

    private struct Writer {
        var isASCII = false
        var indentation: String?
        var itemSeparator = ", "
        var keySeparator = ": "
        var sortsKeys = false
        var output = TextBuffer()

        private mutating func append(_ text: String) { output.append(text) }

        mutating func write(_ value: TemplateValue, level: Int, _ budget: inout TemplateBudget) throws {
            try budget.spend(8)
            switch value {
            case .none: append("null")
            case .bool(let value): append(value ? "true" : "false")
            case .int(let value): append(String(value))
            case .double(let value):
                append(
                    value.isNaN
                        ? "NaN"
                        : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : TemplateText.representation(value)
                )
            case .string(let text):
                try budget.spend(text.utf8.count * 2)
                write(text)
            case .list(let elements), .tuple(let elements):
                try writeList(elements.count, "[", "]", level, &budget) { writer, index, budget in
                    try writer.write(elements[index], level: level + 1, &budget)
                }
            case .dictionary(let members):
                var entries = members.entries
                if sortsKeys {
                    try entries.sort { try TemplateOperators.order($0.key, $1.key) < 0 }
                }
                try writeList(entries.count, "{", "}", level, &budget) { [entries] writer, index, budget in
                    try budget.spendText(of: entries[index].key)
                    writer.write(try Self.keyText(entries[index].key))
                    writer.append(writer.keySeparator)
                    try writer.write(entries[index].value, level: level + 1, &budget)
                }
            default: throw TemplateFault("\(value.kindName) cannot be written as JSON")
            }
        }

        private static func keyText(_ key: TemplateValue) throws -> String {
            switch key {
            case .string(let text): return text
            case .none: return "null"
            case .bool(let value): return value ? "true" : "false"
            case .int, .double: return key.text
            default: throw TemplateFault("\(key.kindName) cannot be a key in JSON")
            }
        }

        private mutating func writeList(
            _ count: Int, _ open: String, _ close: String, _ level: Int, _ budget: inout TemplateBudget,
            _ element: (inout Writer, Int, inout TemplateBudget) throws -> Void
        ) throws {
            append(open)
            for index in 0..<count {
                try budget.spend((indentation?.utf8.count ?? 0) * (level + 1) + itemSeparator.utf8.count)
                if index > 0 { append(itemSeparator) }
                breakLine(level + 1)
                try element(&self, index, &budget)
            }
            if count > 0 { breakLine(level) }
            append(close)
        }

        private mutating func breakLine(_ level: Int) {
            guard let indentation else { return }
            append("\n" + String(repeating: indentation, count: level))
        }

        private mutating func write(_ text: String) {
            output.append("\"" as Unicode.Scalar)
            for scalar in text.unicodeScalars {
                switch scalar {
                case "\"": append("\\\"")
                case "\\": append("\\\\")
                case "\n": append("\\n")
                case "\r": append("\\r")
                case "\t": append("\\t")
                case "\u{8}": append("\\b")
                case "\u{C}": append("\\f")
                default:
                    if scalar.value < 0x20 || (isASCII && scalar.value >= 0x7F) {
                        for unit in String(scalar).utf16 {
                            let digits = String(unit, radix: 16)
                            append("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
                        }
                    } else {
                        output.append(scalar)
                    }
                }
            }
            output.append("\"" as Unicode.Scalar)
        }
    }
}
