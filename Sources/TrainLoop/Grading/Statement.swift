/// A relation that states a value, behind a label or after other forms of the value.
///
/// Labels: `x = 5`, `f(2) = 5`, `AB = 5`, `(x, y) = (1, 2)`. Chains: `N = 2 \cdot 2 = 4`. Approximations:
/// `\frac{14}{3} \approx 4.67`, of which the exact form counts.
struct Statement {
    /// The value, as a numeral if some form of it is one.
    let value: AnswerValue
    private let label: AnswerValue?
    private let approximations: [AnswerValue]
    /// Whether all forms have one value.
    private let isConsistent: Bool

    /// The statement of a relation; nil if it is another equation, such as `2x = 6`.
    ///
    /// In an answer, any expression in letters only is a label (`x + y = 5`); the truth may be such an equation itself.
    init?(_ sides: [AnswerValue], _ signs: [Character], isTruth: Bool) {
        guard signs.allSatisfy({ $0 == "=" || $0 == "≈" }) else { return nil }
        let hasLabel = Self.isLabel(sides[0], isTruth: isTruth)
        label = hasLabel ? sides[0] : nil
        let forms = hasLabel ? Array(sides.dropFirst()) : sides
        var between = hasLabel ? Array(signs.dropFirst()) : signs
        if !hasLabel {
            // Without a label, 2x = 6 is an equation, and 5 = 5 says nothing.
            guard signs.contains("≈") || sides.count > 2, sides.allSatisfy(\.isConstant) else { return nil }
        }
        between = Array(between.prefix { $0 == "=" })
        let exact = forms.prefix(between.count + 1)
        approximations = Array(forms.dropFirst(exact.count))
        guard let last = exact.last else { return nil }
        value = exact.last { $0.isNumeral } ?? last
        isConsistent =
            exact.allSatisfy { Self.haveEqualValues($0, last) } && approximations.allSatisfy { Self.isNear($0, last) }
    }

    /// Whether the statement is consistent and its value equals the truth.
    func states(_ truth: AnswerValue) -> Bool {
        guard isConsistent else { return false }
        if AnswerComparison.areEqual(value, truth) { return true }
        // A truth that is itself rounded: 4.67 for 14/3.
        guard case .expression(.number(let rounded)) = truth, !rounded.isInteger, case .expression(let exact) = value,
            approximations.contains(where: { AnswerComparison.areEqual($0, truth) }),
            let number = exact.numericValue({ _ in .nan }), number.isReal
        else { return false }
        var unit = 1.0
        while unit > 1e-12, abs(rounded.double / unit - (rounded.double / unit).rounded()) > 1e-6 { unit /= 10 }
        return abs(number.real - rounded.double) <= 0.5001 * unit
    }

    /// Whether both name the same, or one names a function or a figure, whose name says nothing about the value.
    func hasLabel(like other: Statement) -> Bool {
        guard let label, let name = other.label else { return true }
        return label == name || !label.isSingleVariable || !name.isSingleVariable
    }

    private static func isLabel(_ value: AnswerValue, isTruth: Bool) -> Bool {
        switch value {
        case .text: return true
        case .tuple(_, let items, _), .list(let items): return items.allSatisfy(\.isSingleVariable)
        case .expression(let expression):
            guard isTruth else { return expression.isSymbolic }
            switch expression {
            case .variable: return true
            case .absolute(let inner): return inner.isSymbolic
            case .function: return expression.isSymbolic
            // AB, ∠ABC, and f(2); xy = 4 may be an equation.
            case .product(let factors):
                guard expression.isSymbolic, case .variable(let first) = factors[0] else { return false }
                return factors.contains { !$0.isVariable }
                    || first.first.map { $0.isUppercase || first.count > 1 } ?? false
                    || factors.contains(.variable("angle")) || ["f", "g", "h"].contains(first)
            // A ratio or a power of segments.
            case .quotient, .power:
                return expression.isSymbolic && expression.variables.allSatisfy { $0.first?.isUppercase ?? false }
            default: return false
            }
        default: return false
        }
    }

    private static func haveEqualValues(_ left: AnswerValue, _ right: AnswerValue) -> Bool {
        guard case .expression(let left) = left, case .expression(let right) = right else {
            return AnswerComparison.areEqual(left, right)
        }
        return AnswerComparison.haveEqualValues(left, right)
    }

    /// Whether an approximation is within 5 %.
    private static func isNear(_ approximation: AnswerValue, _ exact: AnswerValue) -> Bool {
        func number(_ value: AnswerValue) -> Double? {
            switch value {
            case .expression(let expression), .quantity(let expression, _), .percentage(let expression):
                expression.numericValue { _ in .nan }?.real
            default: nil
            }
        }
        guard let rounded = number(approximation), let exact = number(exact) else { return true }
        return abs(rounded - exact) <= 0.05 * abs(exact) + 0.01
    }
}

extension AnswerValue {
    var isNumeral: Bool {
        switch self {
        case .expression(let expression), .quantity(let expression, _), .percentage(let expression):
            expression.numeral != nil
        default: false
        }
    }

    var isConstant: Bool {
        switch self {
        case .expression(let expression), .quantity(let expression, _), .percentage(let expression):
            expression.variables.isEmpty
        default: false
        }
    }

    fileprivate var isSingleVariable: Bool {
        if case .expression(.variable) = self { true } else { false }
    }
}
