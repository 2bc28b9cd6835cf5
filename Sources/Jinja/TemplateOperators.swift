/// Arithmetic and comparison with Python's semantics.
enum TemplateOperators {
    static func apply(
        _ operation: String, _ left: TemplateValue, _ right: TemplateValue, _ budget: inout TemplateBudget
    ) throws -> TemplateValue {
        let left = try left.orFault()
        let right = try right.orFault()
        if let left = left.integer, let right = right.integer { return try integers(operation, left, right) }
        if let left = left.number, let right = right.number { return try numbers(operation, left, right) }
        switch (operation, left, right) {
        case ("+", .string(let left), .string(let right)):
            try budget.spend(left.utf8.count + right.utf8.count)
            return .string(left + right)
        case ("+", .list(let left), .list(let right)):
            try budget.spend((left.count + right.count) * 8)
            return .list(left + right)
        case ("+", .tuple(let left), .tuple(let right)):
            try budget.spend((left.count + right.count) * 8)
            return .tuple(left + right)
        case ("*", .string(let text), _), ("*", _, .string(let text)):
            guard let count = left.integer ?? right.integer else { break }
            return .string(String(repeating: text, count: try repeated(text.utf8.count, count, &budget)))
        case ("*", .list(let elements), _), ("*", _, .list(let elements)):
            guard let count = left.integer ?? right.integer else { break }
            let times = try repeated(elements.count * 8, count, &budget)
            return .list((0..<times).flatMap { _ in elements })
        case ("%", .string, _): throw TemplateFault("formatting with \"%\" is not supported; use \"~\"")
        default: break
        }
        throw TemplateFault("\"\(operation)\" does not work on \(left.kindName) and \(right.kindName)")
    }

    private static func repeated(_ size: Int, _ count: Int, _ budget: inout TemplateBudget) throws -> Int {
        let count = max(count, 0)
        let (total, overflow) = max(size, 1).multipliedReportingOverflow(by: count)
        try budget.spend(overflow ? .max : total)
        return count
    }

    private static func integers(_ operation: String, _ left: Int, _ right: Int) throws -> TemplateValue {
        let result: (partialValue: Int, overflow: Bool)
        switch operation {
        case "+": result = left.addingReportingOverflow(right)
        case "-": result = left.subtractingReportingOverflow(right)
        case "*": result = left.multipliedReportingOverflow(by: right)
        case "**" where right >= 0: result = power(left, right)
        case "//", "%":
            guard right != 0 else { throw TemplateFault("division by zero") }
            result = left.dividedReportingOverflow(by: right)
            guard !result.overflow else { break }
            let remainder = left - result.partialValue * right
            // Python rounds down, and the remainder takes the sign of the divisor.
            let isRoundedUp = remainder != 0 && (remainder < 0) != (right < 0)
            return .int(operation == "%" ? remainder + (isRoundedUp ? right : 0) : result.0 - (isRoundedUp ? 1 : 0))
        default: return try numbers(operation, Double(left), Double(right))
        }
        guard !result.overflow else { throw TemplateFault("the number does not fit in 64 bits") }
        return .int(result.partialValue)
    }

    private static func power(_ base: Int, _ exponent: Int) -> (partialValue: Int, overflow: Bool) {
        if base == 0 || base == 1 { return (exponent == 0 ? 1 : base, false) }
        if base == -1 { return (exponent % 2 == 0 ? 1 : -1, false) }
        var result = 1
        for _ in 0..<min(exponent, 64) {
            let (product, overflow) = result.multipliedReportingOverflow(by: base)
            if overflow { return (0, true) }
            result = product
        }
        return (result, exponent > 64)
    }

    private static func numbers(_ operation: String, _ left: Double, _ right: Double) throws -> TemplateValue {
        switch operation {
        case "+": return .double(left + right)
        case "-": return .double(left - right)
        case "*": return .double(left * right)
        case "**": throw TemplateFault("\"**\" works on integers only")
        default: break
        }
        guard right != 0 else { throw TemplateFault("division by zero") }
        let remainder = left.truncatingRemainder(dividingBy: right)
        switch operation {
        case "/": return .double(left / right)
        case "//": return .double((left / right).rounded(.down))
        default: return .double(remainder != 0 && (remainder < 0) != (right < 0) ? remainder + right : remainder)
        }
    }

    static func compare(
        _ operation: String, _ left: TemplateValue, _ right: TemplateValue, _ budget: inout TemplateBudget
    ) throws -> Bool {
        switch operation {
        case "==", "!=":
            try budget.spendText(of: left)
            return left.isEqual(to: right) == (operation == "==")
        case "in": return try contains(left, in: right, &budget)
        case "not in": return try !contains(left, in: right, &budget)
        default:
            try budget.spendText(of: left)
            let order = try order(left, right)
            switch operation {
            case "<": return order < 0
            case "<=": return order <= 0
            case ">": return order > 0
            default: return order >= 0
            }
        }
    }

    static func contains(
        _ element: TemplateValue, in container: TemplateValue, _ budget: inout TemplateBudget
    ) throws -> Bool {
        try budget.spendText(of: container)
        try budget.spendText(of: element)
        switch container {
        case .undefined: return false
        case .string(let text):
            guard case .string(let needle) = try element.orFault() else {
                throw TemplateFault("\(element.kindName) cannot be \"in\" a string")
            }
            return TemplateText.contains(needle, in: text)
        case .list(let elements), .tuple(let elements): return elements.contains { $0.isEqual(to: element) }
        case .dictionary(let members): return try members.value(for: element) != nil
        default: throw TemplateFault("\"in\" does not work on \(container.kindName)")
        }
    }

    /// Compares two values; the result is negative, zero or positive.
    static func order(_ left: TemplateValue, _ right: TemplateValue) throws -> Int {
        let left = try left.orFault()
        let right = try right.orFault()
        if let left = left.integer, let right = right.integer { return left < right ? -1 : left > right ? 1 : 0 }
        if let left = left.number, let right = right.number { return left < right ? -1 : left > right ? 1 : 0 }
        switch (left, right) {
        case (.string(let left), .string(let right)):
            // UTF-8 bytes sort like code points.
            if left.utf8.elementsEqual(right.utf8) { return 0 }
            return left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : 1
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            for (first, second) in zip(left, right) where !first.isEqual(to: second) {
                return try order(first, second)
            }
            return left.count - right.count
        default: throw TemplateFault("\(left.kindName) and \(right.kindName) cannot be ordered")
        }
    }

    /// The indices of a Python slice.
    static func indices(_ count: Int, _ start: Int?, _ stop: Int?, _ step: Int) throws -> [Int] {
        guard step != 0 else { throw TemplateFault("a slice cannot have step 0") }
        // Clamping prevents overflow; a longer step leaves any list, too.
        let step = max(min(step, count + 1), -count - 1)
        func clamped(_ bound: Int, _ lowest: Int, _ highest: Int) -> Int {
            min(max(bound < 0 ? bound + count : bound, lowest), highest)
        }
        if step > 0 {
            let first = start.map { clamped($0, 0, count) } ?? 0
            let end = stop.map { clamped($0, 0, count) } ?? count
            return first < end ? Array(Swift.stride(from: first, to: end, by: step)) : []
        }
        let first = start.map { clamped($0, -1, count - 1) } ?? count - 1
        let end = stop.map { clamped($0, -1, count - 1) } ?? -1
        return first > end ? Array(Swift.stride(from: first, to: end, by: step)) : []
    }
}
