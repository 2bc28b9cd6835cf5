import OrderedJSON

/// A value in a template, with Python's truth, equality and text.
enum TemplateValue {
    /// A missing name or member: false, renders as empty, and has no members; the text says what is missing.
    case undefined(String)
    case none
    case bool(Bool)
    case int(Int)
    case double(Double)
    case string(String)
    case list([TemplateValue])
    case tuple([TemplateValue])
    case dictionary(TemplateDictionary)
    case namespace(TemplateNamespace)
    case loop(TemplateLoopState)
    case function(String)
    case macro(TemplateMacroValue)
    /// A bound method.
    indirect case method(TemplateValue, String)
}

/// The result of `namespace()`, the only mutable value.
final class TemplateNamespace {
    var members = TemplateDictionary()
}

/// A macro and the scope in which it was defined.
final class TemplateMacroValue {
    let macro: TemplateMacro
    let scope: TemplateScope

    init(_ macro: TemplateMacro, scope: TemplateScope) {
        self.macro = macro
        self.scope = scope
    }
}

/// `loop` inside a `for`.
final class TemplateLoopState {
    let items: [TemplateValue]
    var index = 0
    /// The last arguments of `changed`.
    var lastChecked: [TemplateValue]?

    init(items: [TemplateValue]) { self.items = items }

    func attribute(_ name: String) -> TemplateValue? {
        switch name {
        case "index": .int(index + 1)
        case "index0": .int(index)
        case "revindex": .int(items.count - index)
        case "revindex0": .int(items.count - index - 1)
        case "first": .bool(index == 0)
        case "last": .bool(index == items.count - 1)
        case "length": .int(items.count)
        // The depth of a recursive loop; nested loops do not count.
        case "depth": .int(1)
        case "depth0": .int(0)
        case "previtem": index > 0 ? items[index - 1] : .undefined("there is no previous item")
        case "nextitem": index + 1 < items.count ? items[index + 1] : .undefined("there is no next item")
        case "cycle", "changed": .method(.loop(self), name)
        default: nil
        }
    }
}

/// The variables of a block, chained to those of the enclosing blocks.
final class TemplateScope {
    var variables: [String: TemplateValue] = [:]
    let outer: TemplateScope?

    init(outer: TemplateScope?) { self.outer = outer }

    func value(_ name: String) -> TemplateValue? {
        var scope: TemplateScope? = self
        while let current = scope {
            if let value = current.variables[name] { return value }
            scope = current.outer
        }
        return nil
    }
}

extension TemplateValue {
    init(_ json: JSON) {
        switch json {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .number(let literal):
            if let integer = Int(literal) { self = .int(integer) } else { self = .double(Double(literal) ?? .nan) }
        case .string(let text): self = .string(text)
        case .array(let elements): self = .list(elements.map { TemplateValue($0) })
        case .object(let members):
            var dictionary = TemplateDictionary()
            for (key, value) in members { dictionary[key] = TemplateValue(value) }
            self = .dictionary(dictionary)
        }
    }

    init(_ literal: TemplateLiteral) {
        switch literal {
        case .none: self = .none
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .int(value)
        case .float(let value): self = .double(value)
        case .string(let text): self = .string(text)
        }
    }

    /// The type of the value for error messages.
    var kindName: String {
        switch self {
        case .undefined: "an undefined value"
        case .none: "none"
        case .bool: "a boolean"
        case .int: "an integer"
        case .double: "a number"
        case .string: "a string"
        case .list: "a list"
        case .tuple: "a tuple"
        case .dictionary: "a dictionary"
        case .namespace: "a namespace"
        case .loop: "the loop"
        case .function, .macro, .method: "a function"
        }
    }

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .double(let value): value != 0
        case .string(let text): !text.utf8.isEmpty
        case .list(let elements), .tuple(let elements): !elements.isEmpty
        case .dictionary(let members): members.count > 0
        case .namespace, .loop, .function, .macro, .method: true
        }
    }

    var isUndefined: Bool { if case .undefined = self { true } else { false } }

    /// A boolean counts as 0 or 1, as in Python.
    var integer: Int? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .int(let value): value
        default: nil
        }
    }

    var number: Double? {
        if case .double(let value) = self { value } else { integer.map(Double.init) }
    }

    /// Returns the value unless it is undefined.
    ///
    /// - Throws: `TemplateFault` that says what is undefined.
    func orFault() throws -> TemplateValue {
        if case .undefined(let hint) = self { throw TemplateFault(hint) }
        return self
    }

    func isEqual(to other: TemplateValue) -> Bool {
        switch (self, other) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.string(let left), .string(let right)): return left.utf8.elementsEqual(right.utf8)
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            return left.count == right.count && zip(left, right).allSatisfy { $0.isEqual(to: $1) }
        case (.dictionary(let left), .dictionary(let right)):
            return left.count == right.count
                && left.entries.allSatisfy { entry in
                    (try? right.value(for: entry.key)).flatMap(\.self)?.isEqual(to: entry.value) ?? false
                }
        case (.namespace(let left), .namespace(let right)): return left === right
        case (.loop(let left), .loop(let right)): return left === right
        case (.macro(let left), .macro(let right)): return left === right
        case (.function(let left), .function(let right)): return left == right
        default:
            if let left = integer, let right = other.integer { return left == right }
            if let left = number, let right = other.number { return left == right }
            return false
        }
    }

    /// Python's `str(value)`.
    var text: String {
        switch self {
        case .undefined: ""
        case .string(let text): text
        default: representation
        }
    }

    /// Python's `repr(value)`.
    var representation: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "None"
        case .bool(let value): value ? "True" : "False"
        case .int(let value): String(value)
        case .double(let value): TemplateText.representation(value)
        case .string(let text): TemplateText.representation(text)
        case .list(let elements): "[" + elements.map(\.representation).joined(separator: ", ") + "]"
        case .tuple(let elements):
            elements.count == 1
                ? "(\(elements[0].representation),)"
                : "(" + elements.map(\.representation).joined(separator: ", ") + ")"
        case .dictionary(let members):
            "{"
                + members.entries.map { "\($0.key.representation): \($0.value.representation)" }
                .joined(separator: ", ") + "}"
        case .namespace: "<Namespace>"
        case .loop(let loop): "<LoopContext \(loop.index + 1)/\(loop.items.count)>"
        case .function(let name), .method(_, let name): "<function \(name)>"
        case .macro(let value): "<Macro '\(value.macro.name)'>"
        }
    }

    /// A lower bound of the bytes of the value's text, for the budget; stops counting at `limit`.
    func approximateSize(limit: Int) -> Int {
        switch self {
        case .string(let text): return text.utf8.count + 2
        case .list(let elements), .tuple(let elements):
            var size = 2
            for element in elements where size < limit { size += element.approximateSize(limit: limit - size) + 2 }
            return size
        case .dictionary(let members):
            var size = 2
            for entry in members.entries where size < limit {
                size += entry.key.approximateSize(limit: limit) + entry.value.approximateSize(limit: limit - size) + 4
            }
            return size
        default: return 8
        }
    }
}
