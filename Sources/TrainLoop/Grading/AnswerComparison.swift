import Parallel

/// Compares parsed answers.
enum AnswerComparison {
    /// Longer lists are compared in order.
    private static let maximumItemCount = 64

    /// Compares an answer with the truth; only a numeral equals a numeral.
    static func areEqual(_ answer: AnswerValue, _ truth: AnswerValue) -> Bool {
        if answer == truth { return true }
        switch (answer, truth) {
        case (.expression(let left), .expression(let right)):
            if areEqual(left, right) { return true }
            guard right.numeral != nil, let area = left.metric else { return false }
            return areEqual(area.number, right)

        case (.percentage(let left), .percentage(let right)): return areEqual(left, right)
        case (.percentage(let left), .expression(let right)): return areEqualPercent(left, right, left, right)
        case (.expression(let left), .percentage(let right)): return areEqualPercent(right, left, left, right)

        case (.quantity(let left, let leftUnit), .quantity(let right, let rightUnit)):
            return leftUnit == rightUnit && areEqual(left, right)
        case (.quantity(let left, let unit), .expression(let right)):
            return areEqual(left, right) || right.metric.map { $0.unit == unit && areEqual(left, $0.number) } ?? false
        case (.expression(let left), .quantity(let right, let unit)):
            return areEqual(left, right) || left.metric.map { $0.unit == unit && areEqual($0.number, right) } ?? false
        case (.quantity(let left, _), .percentage): return areEqual(.expression(left), truth)
        case (.percentage, .quantity(let right, _)): return areEqual(answer, .expression(right))

        case (.tuple(let leftOpen, let left, let leftClose), .tuple(let rightOpen, let right, let rightClose)):
            return leftOpen == rightOpen && leftClose == rightClose && areEqualInOrder(left, right)
        case (.list(let left), .list(let right)): return areEqualInAnyOrder(left, right)
        case (.list(let left), _) where left.count == 1: return areEqual(left[0], truth)
        case (_, .list(let right)) where right.count == 1: return areEqual(answer, right[0])
        case (.union(let left), .union(let right)):
            return areEqualInAnyOrder(left, right) || areEqualSets(answer, truth)
        case (.matrix(let left), .matrix(let right)):
            return left.count == right.count && zip(left, right).allSatisfy(areEqualInOrder)
        case (.ratio(let left), .ratio(let right)):
            return areEqualRatios(left, right)
        case (.ratio(let left), .expression(let right)) where left.count == 2:
            return areEqual(.quotient(left[0], left[1]), right)
        case (.expression(let left), .ratio(let right)) where right.count == 2:
            return areEqual(left, .quotient(right[0], right[1]))
        case (.list(let items), .tuple("(", let right, ")")): return isAssignment(items, of: right)
        case (.tuple("(", let left, ")"), .list(let items)): return isAssignment(items, of: left)

        case (.relation(let left, let leftSigns), .relation(let right, let rightSigns)):
            return areEqualRelations(left, leftSigns, right, rightSigns)
        case (.relation(let sides, let signs), _):
            if let statement = Statement(sides, signs, isTruth: false) { return statement.states(truth) }
            return solution(sides, signs).map { areEqual($0, truth) } ?? areEqualSets(answer, truth)
        case (_, .relation(let sides, let signs)):
            if let statement = Statement(sides, signs, isTruth: true) { return areEqual(answer, statement.value) }
            return solution(sides, signs).map { areEqual(answer, $0) } ?? areEqualSets(answer, truth)

        case (.text(let left), .expression(.variable(let right))), (.expression(.variable(let left)), .text(let right)):
            return left == right
        default: return areEqualSets(answer, truth)
        }
    }

    /// Compares as sets of real numbers, if one of both can be nothing else.
    static func areEqualSets(_ answer: AnswerValue, _ truth: AnswerValue) -> Bool {
        guard RealSet.isSet(answer) || RealSet.isSet(truth), let left = RealSet(answer), let right = RealSet(truth)
        else {
            return false
        }
        return left == right
    }

    /// Whether `x = 1, y = 2` gives the coordinates of a point in alphabetical order.
    private static func isAssignment(_ items: [AnswerValue], of point: [AnswerValue]) -> Bool {
        guard items.count == point.count, items.count > 1 else { return false }
        var names: [String] = []
        for (item, coordinate) in zip(items, point) {
            guard case .relation(let sides, ["="]) = item, case .expression(.variable(let name)) = sides[0],
                areEqual(sides[1], coordinate)
            else { return false }
            names.append(name)
        }
        return zip(names, names.dropFirst()).allSatisfy { $0 < $1 }
    }

    private static func areEqualRatios(_ left: [MathExpression], _ right: [MathExpression]) -> Bool {
        guard left.count == right.count else { return false }
        if zip(left, right).allSatisfy({ areEqual($0, $1) }) { return true }
        return zip(left, right).dropFirst().allSatisfy {
            areEqual(.quotient(left[0], $0.0), .quotient(right[0], $0.1))
        }
    }

    static func areEqualInOrder(_ left: [AnswerValue], _ right: [AnswerValue]) -> Bool {
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

    // MARK: Expressions

    static func areEqual(_ answer: MathExpression, _ truth: MathExpression) -> Bool {
        if answer == truth { return true }
        if let truth = truth.numeral { return answer.numeral == truth }
        return haveEqualValues(answer, truth)
    }

    /// Compares values, evaluating both.
    static func haveEqualValues(_ answer: MathExpression, _ truth: MathExpression) -> Bool {
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
        // Distant points tell |x + 3| from x + 3; there, one of both may have no value.
        let scales: [Double] = names.isEmpty ? [1] : [1, 1, 1, 1, 20, 300]
        for (trial, scale) in scales.enumerated() {
            var generator = SplitMix64(seed: UInt64(trial))
            var values: [String: Double] = [:]
            for name in names { values[name] = scale * Double.random(in: 0.5..<2.5, using: &generator) }
            for sign in [1.0, -1.0] {
                let left = answer.numericValue { sign * (values[$0] ?? .nan) }
                let right = truth.numericValue { sign * (values[$0] ?? .nan) }
                if sign > 0, scale == 1 {
                    guard let left, let right, left.isClose(to: right) else { return false }
                } else if let left, let right, left.isReal, right.isReal, !left.isClose(to: right) {
                    // Of values that are not real, nothing is asked: ln x² is 2 ln x where both are real.
                    return false
                }
            }
        }
        return true
    }
}
