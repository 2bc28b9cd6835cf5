extension TemplateEvaluator {
    mutating func attribute(_ name: String, of base: TemplateValue) throws -> TemplateValue {
        let missing = TemplateValue.undefined("\(base.kindName) has no \"\(name)\"")
        switch base {
        case .undefined(let hint): throw TemplateFault("\(hint), so it has no \"\(name)\"")
        case .dictionary(let members):
            if TemplateMethods.ofDictionaries.contains(name) { return .method(base, name) }
            return members[name] ?? missing
        case .namespace(let namespace): return namespace.members[name] ?? missing
        case .loop(let loop): return loop.attribute(name) ?? missing
        case .string: return TemplateStringMethods.names.contains(name) ? .method(base, name) : missing
        case .list, .tuple:
            if TemplateMethods.thatChangeLists.contains(name) {
                throw TemplateFault("lists cannot be changed: \"\(name)\" is not allowed in chat templates")
            }
            return TemplateMethods.ofLists.contains(name) ? .method(base, name) : missing
        default: return missing
        }
    }

    mutating func item(_ key: TemplateValue, of base: TemplateValue) throws -> TemplateValue {
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

    mutating func sliced(_ base: TemplateValue, _ slice: TemplateSlice) throws -> TemplateValue {
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

    /// The elements that a loop over a value visits.
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
        default: throw TemplateFault("cannot loop over \(value.kindName)")
        }
    }
}
