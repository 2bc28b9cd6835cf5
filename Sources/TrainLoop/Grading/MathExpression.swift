/// A parsed mathematical expression, not simplified.
indirect enum MathExpression: Hashable, Sendable {
    case number(Rational)
    case variable(String)
    case pi
    /// The base of the natural logarithm.
    case euler
    case imaginaryUnit
    case infinity
    case negation(MathExpression)
    case sum([MathExpression])
    case product([MathExpression])
    case quotient(MathExpression, MathExpression)
    case power(MathExpression, MathExpression)
    /// The value of a mixed number, `1 2/3`.
    case mixed(Rational)
    case function(String, MathExpression)
    case logarithm(base: MathExpression, MathExpression)
    case absolute(MathExpression)
    case factorial(MathExpression)
    case binomial(MathExpression, MathExpression)

    static func root(_ radicand: MathExpression, degree: MathExpression) -> MathExpression {
        .power(radicand, .quotient(.number(.one), degree))
    }

    /// The value of a numeral; nil for expressions that need evaluation.
    ///
    /// Numerals are integers, decimals, fractions of numerals, mixed numbers, and numbers times a power of ten.
    var numeral: Rational? {
        switch self {
        case .number(let value), .mixed(let value): return value
        case .negation(let inner): return inner.numeral?.negated
        case .quotient(let top, let bottom):
            guard let top = top.numeral, let bottom = bottom.numeral else { return nil }
            return try? top.multiplied(by: bottom.inverted())
        case .power(.number(let base), let exponent) where base == Rational(10):
            guard let exponent = exponent.numeral?.integer else { return nil }
            return try? base.raised(to: exponent)
        case .product(let factors) where factors.count == 2:
            guard let left = factors[0].numeral, case .power = factors[1], let right = factors[1].numeral
            else { return nil }
            return try? left.multiplied(by: right)
        default: return nil
        }
    }

    var variables: Set<String> {
        switch self {
        case .variable(let name): [name]
        case .number, .mixed, .pi, .euler, .imaginaryUnit, .infinity: []
        case .negation(let inner), .function(_, let inner), .absolute(let inner), .factorial(let inner):
            inner.variables
        case .sum(let terms), .product(let terms): terms.reduce(into: []) { $0.formUnion($1.variables) }
        case .quotient(let left, let right), .power(let left, let right), .logarithm(let left, let right),
            .binomial(let left, let right):
            left.variables.union(right.variables)
        }
    }

    /// Whether the expression has variables, and no numbers but exponents: `AB`, `f(2)`, `x + y`, `\pi r^2`.
    var isSymbolic: Bool { !hasNumbers && !variables.isEmpty }

    private var hasNumbers: Bool {
        switch self {
        case .variable, .pi, .euler, .imaginaryUnit: false
        case .number, .mixed, .infinity, .factorial, .binomial: true
        case .negation(let inner), .absolute(let inner): inner.hasNumbers
        // The argument of a function may be a number.
        case .function, .logarithm: false
        case .sum(let terms): terms.contains(where: \.hasNumbers)
        case .product(let factors):
            factors.contains(where: \.hasNumbers) && !(factors.count == 2 && factors[0].isVariable)
        case .quotient(let left, let right): left.hasNumbers || right.hasNumbers
        case .power(let base, _): base.hasNumbers
        }
    }

    var isVariable: Bool {
        if case .variable = self { true } else { false }
    }
}
