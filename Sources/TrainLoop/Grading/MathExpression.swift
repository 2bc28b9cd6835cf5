/// A mathematical expression as written: nothing in it has been worked out.
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
    /// `1 2/3`: a whole number and a fraction, added.
    case mixed(Rational)
    case function(String, MathExpression)
    /// The logarithm of the second to the base of the first.
    case logarithm(MathExpression, MathExpression)
    case absolute(MathExpression)
    case factorial(MathExpression)
    case binomial(MathExpression, MathExpression)

    static func root(_ radicand: MathExpression, degree: MathExpression = .number(Rational(2))) -> MathExpression {
        .power(radicand, .quotient(.number(.one), degree))
    }

    /// The value of a numeral: an integer, a decimal, a fraction of numerals, a mixed number, or a number times a power
    /// of ten; nil for everything that still has to be worked out.
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

    /// The names of the variables in it.
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
}
