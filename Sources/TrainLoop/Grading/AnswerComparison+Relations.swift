/// Equations and inequalities.
extension AnswerComparison {
    /// The solution that a relation states; nil for other relations.
    ///
    /// `x = 2` gives 2, `x ∈ I` gives I, `2 < x ≤ 3` gives an interval.
    static func solution(_ sides: [AnswerValue], _ signs: [Character]) -> AnswerValue? {
        func isVariable(_ value: AnswerValue) -> Bool {
            // f(x) too
            switch value {
            case .expression(.variable): true
            case .expression(.product(let factors)): factors.allSatisfy(\.isVariable)
            default: false
            }
        }
        if signs == ["∈"] { return isVariable(sides[0]) ? sides[1] : nil }
        let infinity = AnswerValue.expression(.infinity)
        let minusInfinity = AnswerValue.expression(.negation(.infinity))
        let flipped: [Character: Character] = ["<": ">", ">": "<", "≤": "≥", "≥": "≤"]
        if signs.count == 1 {
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
        if signs.count == 2, isVariable(sides[1]), signs.allSatisfy({ ">≥".contains($0) }) {
            return solution(sides.reversed(), signs.reversed().compactMap { flipped[$0] })
        }
        guard signs.count == 2, isVariable(sides[1]), signs.allSatisfy({ "<≤".contains($0) }) else { return nil }
        return .tuple(open: signs[0] == "<" ? "(" : "[", [sides[0], sides[2]], close: signs[1] == "<" ? ")" : "]")
    }

    static func areEqualRelations(
        _ left: [AnswerValue], _ leftSigns: [Character], _ right: [AnswerValue], _ rightSigns: [Character]
    ) -> Bool {
        if leftSigns == rightSigns, areEqualInOrder(left, right) { return true }
        if let left = solution(left, leftSigns), let right = solution(right, rightSigns) {
            return areEqual(left, right)
        }
        if let answer = Statement(left, leftSigns, isTruth: false),
            let truth = Statement(right, rightSigns, isTruth: true),
            answer.hasLabel(like: truth), answer.states(truth.value)
        {
            return true
        }
        guard let (first, isStrict, isEquation) = difference(left, leftSigns),
            let (second, alsoStrict, alsoEquation) = difference(right, rightSigns),
            isStrict == alsoStrict, isEquation == alsoEquation
        else { return areEqualSets(.relation(left, leftSigns), .relation(right, rightSigns)) }
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
}
