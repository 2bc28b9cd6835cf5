import Parallel

/// Compares parsed answers.
enum AnswerComparison {
    /// Longer lists are compared in order.
    private static let maximumItemCount = 64

    /// Compares an answer with the truth; only a numeral equals a numeral.
    static func areEqual(_ answer: AnswerValue, _ truth: AnswerValue) -> Bool {
        if answer == truth { return true }
        switch (answer, truth) {
        case (.expression(let left), .expression(let right)): return areEqual(left, right)

        case (.percentage(let left), .percentage(let right)): return areEqual(left, right)
        case (.percentage(let left), .expression(let right)): return areEqualPercent(left, right, left, right)
        case (.expression(let left), .percentage(let right)): return areEqualPercent(right, left, left, right)

        case (.quantity(let left, let leftUnit), .quantity(let right, let rightUnit)):
            return leftUnit == rightUnit && areEqual(left, right)
        case (.quantity(let left, _), .expression(let right)), (.expression(let left), .quantity(let right, _)):
            return areEqual(left, right)
        case (.quantity(let left, _), .percentage): return areEqual(.expression(left), truth)
        case (.percentage, .quantity(let right, _)): return areEqual(answer, .expression(right))

        case (.tuple(let leftOpen, let left, let leftClose), .tuple(let rightOpen, let right, let rightClose)):
            return leftOpen == rightOpen && leftClose == rightClose && areEqualInOrder(left, right)
        case (.list(let left), .list(let right)): return areEqualInAnyOrder(left, right)
        case (.list(let left), _) where left.count == 1: return areEqual(left[0], truth)
        case (_, .list(let right)) where right.count == 1: return areEqual(answer, right[0])
        case (.union(let left), .union(let right)): return areEqualInAnyOrder(left, right)
        case (.matrix(let left), .matrix(let right)):
            return left.count == right.count && zip(left, right).allSatisfy(areEqualInOrder)
        case (.ratio(let left), .ratio(let right)):
            return left.count == right.count && zip(left, right).allSatisfy { areEqual($0, $1) }

        case (.relation(let left, let leftSigns), .relation(let right, let rightSigns)):
            return areEqualRelations(left, leftSigns, right, rightSigns)
        case (.relation(let sides, let signs), _):
            return solution(sides, signs).map { areEqual($0, truth) } ?? false
        case (_, .relation(let sides, let signs)):
            return solution(sides, signs).map { areEqual(answer, $0) } ?? false

        case (.text(let left), .expression(.variable(let right))), (.expression(.variable(let left)), .text(let right)):
            return left == right
        default: return false
        }
    }

    private static func areEqualInOrder(_ left: [AnswerValue], _ right: [AnswerValue]) -> Bool {
        left.count == right.count && zip(left, right).allSatisfy { areEqual($0, $1) }
    }

    private static func areEqualInAnyOrder(_ left: [AnswerValue], _ right: [AnswerValue]) -> Bool {
        guard left.count == right.count else { return false }
        guard left.count <= maximumItemCount else { return areEqualInOrder(left, right) }
        var unmatched = right
        for value in left {
            guard let index = unmatched.firstIndex(where: { areEqual(value, $0) }) else { return false }
            unmatched.remove(at: index)
        }
        return true
    }

    /// Compares a percentage with a number: `50\%` equals 0.5, and also 50, because the question may ask for per cent.
    private static func areEqualPercent(
        _ percentage: MathExpression, _ number: MathExpression, _ answer: MathExpression, _ truth: MathExpression
    ) -> Bool {
        if areEqual(answer, truth) { return true }
        guard let percentage = percentage.numeral, let number = number.numeral,
            let scaled = try? number.multiplied(by: Rational(100))
        else { return false }
        return percentage == scaled
    }

    // MARK: Relations

    /// The solution that a relation states; nil for other relations.
    ///
    /// `x = 2` gives 2, `x ∈ I` gives I, `2 < x ≤ 3` gives an interval.
    private static func solution(_ sides: [AnswerValue], _ signs: [Character]) -> AnswerValue? {
        func isVariable(_ value: AnswerValue) -> Bool {
            if case .expression(.variable) = value { true } else { false }
        }
        if signs == ["="] || signs == ["∈"] { return isVariable(sides[0]) ? sides[1] : nil }
        let infinity = AnswerValue.expression(.infinity)
        let minusInfinity = AnswerValue.expression(.negation(.infinity))
        if signs.count == 1 {
            let flipped: [Character: Character] = ["<": ">", ">": "<", "≤": "≥", "≥": "≤"]
            let isFirst = isVariable(sides[0])
            guard isFirst != isVariable(sides[1]), let sign = isFirst ? signs[0] : flipped[signs[0]] else { return nil }
            let bound = isFirst ? sides[1] : sides[0]
            switch sign {
            case "<": return .tuple(open: "(", [minusInfinity, bound], close: ")")
            case "≤": return .tuple(open: "(", [minusInfinity, bound], close: "]")
            case ">": return .tuple(open: "(", [bound, infinity], close: ")")
            case "≥": return .tuple(open: "[", [bound, infinity], close: ")")
            default: return nil
            }
        }
        guard signs.count == 2, isVariable(sides[1]), signs.allSatisfy({ "<≤".contains($0) }) else { return nil }
        return .tuple(open: signs[0] == "<" ? "(" : "[", [sides[0], sides[2]], close: signs[1] == "<" ? ")" : "]")
    }

    private static func areEqualRelations(
        _ left: [AnswerValue], _ leftSigns: [Character], _ right: [AnswerValue], _ rightSigns: [Character]
    ) -> Bool {
        if leftSigns == rightSigns, areEqualInOrder(left, right) { return true }
        if let left = solution(left, leftSigns), let right = solution(right, rightSigns),
            leftSigns != ["="], rightSigns != ["="]
        {
            return areEqual(left, right)
        }
        guard let (first, isStrict, isEquation) = difference(left, leftSigns),
            let (second, alsoStrict, alsoEquation) = difference(right, rightSigns),
            isStrict == alsoStrict, isEquation == alsoEquation
        else { return false }
        return areProportional(first, second, anySign: isEquation)
    }

    /// The difference of both sides, which the relation compares with 0 by `=`, `>` or `≥`.
    private static func difference(
        _ sides: [AnswerValue], _ signs: [Character]
    ) -> (difference: RationalFunction, isStrict: Bool, isEquation: Bool)? {
        guard signs.count == 1, case .expression(let left) = sides[0], case .expression(let right) = sides[1] else {
            return nil
        }
        let isGreater = ">≥".contains(signs[0])
        guard "=<≤>≥".contains(signs[0]) else { return nil }
        let expression = MathExpression.sum(isGreater ? [left, .negation(right)] : [right, .negation(left)])
        var algebra = ExactAlgebra()
        guard let value = try? algebra.value(expression) else { return nil }
        return (value, "<>".contains(signs[0]), signs[0] == "=")
    }

    /// Whether one function is a non-zero rational multiple of the other, positive unless `anySign`.
    private static func areProportional(_ left: RationalFunction, _ right: RationalFunction, anySign: Bool) -> Bool {
        guard !left.numerator.isZero, !right.numerator.isZero,
            let cross = try? (
                left.numerator.multiplied(by: right.denominator), right.numerator.multiplied(by: left.denominator)
            ),
            let monomial = cross.0.terms.keys.first, let first = cross.0.terms[monomial],
            let second = cross.1.terms[monomial],
            let factor = try? second.multiplied(by: first.inverted()), anySign || !factor.isNegative
        else { return false }
        return (try? cross.0.multiplied(by: factor)) == cross.1
    }

    // MARK: Expressions

    static func areEqual(_ answer: MathExpression, _ truth: MathExpression) -> Bool {
        if answer == truth { return true }
        if let truth = truth.numeral { return answer.numeral == truth }
        var algebra = ExactAlgebra()
        if let left = try? algebra.value(answer), let right = try? algebra.value(truth) {
            if (try? left.isEqual(to: right)) ?? false { return true }
            if !algebra.isOpaque { return false }
        } else if !algebra.isOpaque {
            return false
        }
        return agreeNumerically(answer, truth)
    }

    /// Compares values at a few points, for expressions that algebra does not expand (`\sqrt{3+2\sqrt2}`, `\ln 4`).
    private static func agreeNumerically(_ answer: MathExpression, _ truth: MathExpression) -> Bool {
        let names = answer.variables.union(truth.variables).sorted()
        for trial in 0..<(names.isEmpty ? 1 : 4) {
            var generator = SplitMix64(seed: UInt64(trial))
            var values: [String: Double] = [:]
            for name in names { values[name] = Double.random(in: 0.5..<2.5, using: &generator) }
            guard let left = answer.numericValue({ values[$0] ?? .nan }),
                let right = truth.numericValue({ values[$0] ?? .nan }), left.isClose(to: right)
            else { return false }
        }
        return true
    }
}
