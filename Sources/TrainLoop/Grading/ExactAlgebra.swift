/// Evaluates expressions exactly.
struct ExactAlgebra {
    /// True once a function, a root of a sum or a power with a variable exponent became an opaque atom, so that
    /// different results may still have equal values.
    private(set) var isOpaque = false
    private var depth = 0

    mutating func value(_ expression: MathExpression) throws(AlgebraLimit) -> RationalFunction {
        depth += 1
        defer { depth -= 1 }
        guard depth < 100 else { throw AlgebraLimit() }
        switch expression {
        case .number(let value), .mixed(let value): return RationalFunction(value)
        case .variable(let name): return RationalFunction(Polynomial(.variable(name)))
        case .pi: return RationalFunction(Polynomial(.constant("π")))
        case .euler: return RationalFunction(Polynomial(.constant("e")))
        case .imaginaryUnit: return RationalFunction(Polynomial(.imaginaryUnit))
        case .infinity: return RationalFunction(Polynomial(.constant("∞")))
        case .negation(let inner): return try value(inner).multiplied(by: RationalFunction(Rational(-1)))
        case .sum(let terms):
            var sum = RationalFunction(.zero)
            for term in terms { sum = try sum.adding(try value(term)) }
            return sum
        case .product(let factors):
            var product = RationalFunction(.one)
            for factor in factors { product = try product.multiplied(by: try value(factor)) }
            return product
        case .quotient(let top, let bottom): return try value(top).multiplied(by: try value(bottom).inverted())
        case .power(let base, let exponent): return try power(base, exponent)
        case .function(let name, let argument):
            let argument = try value(argument)
            if name == "floor", let constant = argument.constant {
                return RationalFunction(Rational(try constant.floor()))
            }
            if name == "ceil", let constant = argument.constant {
                return RationalFunction(Rational(try constant.negated.floor()).negated)
            }
            return try opaque(name + (try argument.canonicalText()))
        case .logarithm(let base, let argument):
            return try opaque("log\(try value(base).canonicalText())of\(try value(argument).canonicalText())")
        case .absolute(let inner):
            let inner = try value(inner)
            if let constant = inner.constant { return RationalFunction(constant.magnitude) }
            return try opaque("abs" + (try inner.canonicalText()))
        case .factorial(let inner):
            let inner = try value(inner)
            guard let constant = inner.constant else { return try opaque("factorial" + (try inner.canonicalText())) }
            guard let count = constant.integer, (0...Self.maximumFactorial).contains(count) else {
                throw AlgebraLimit()
            }
            var product = Rational.one
            for factor in 0..<count { product = try product.multiplied(by: Rational(factor + 1)) }
            return RationalFunction(product)
        case .binomial(let top, let bottom):
            let top = try value(top)
            guard var count = try value(bottom).constant?.integer, count >= 0 else { throw AlgebraLimit() }
            if let whole = top.constant?.integer {
                guard (0...Self.maximumFactorial).contains(whole), count <= whole else { throw AlgebraLimit() }
                count = min(count, whole - count)
            } else {
                guard count <= 8 else { throw AlgebraLimit() }
            }
            var product = RationalFunction(.one)
            for index in 0..<count {
                let factor = try top.adding(RationalFunction(Rational(-index)))
                product = try product.multiplied(by: factor).multiplied(
                    by: RationalFunction(try Rational(.small(1), over: .small(index + 1))))
            }
            return product
        }
    }

    /// 1000! has 8,530 bits.
    private static let maximumFactorial = 1000

    private mutating func opaque(_ name: String, exponent: Rational = .one) throws(AlgebraLimit) -> RationalFunction {
        isOpaque = true
        guard name.utf8.count <= 2000 else { throw AlgebraLimit() }
        return RationalFunction(Polynomial(.opaque(name), exponent: exponent))
    }

    private mutating func power(
        _ base: MathExpression, _ exponent: MathExpression
    ) throws(AlgebraLimit) -> RationalFunction {
        let baseValue = try value(base)
        let exponentValue = try value(exponent)
        guard let exponent = exponentValue.constant else {
            return try opaque("\(try baseValue.canonicalText())^\(try exponentValue.canonicalText())")
        }
        if let whole = exponent.integer { return try baseValue.raised(to: whole) }
        if exponent.isNegative { return try root(baseValue.inverted(), exponent.negated) }
        return try root(baseValue, exponent)
    }

    private mutating func root(_ base: RationalFunction, _ exponent: Rational) throws(AlgebraLimit) -> RationalFunction
    {
        let top = try root(base.numerator, exponent)
        let bottom = try root(base.denominator, exponent)
        return try top.multiplied(by: try bottom.inverted())
    }

    private mutating func root(_ base: Polynomial, _ exponent: Rational) throws(AlgebraLimit) -> RationalFunction {
        if base.isZero { return RationalFunction(.zero) }
        guard let term = base.singleTerm else {
            // A positive rational factor is moved out of the root; the sum stays under it.
            let content = base.leadingCoefficient.magnitude
            let primitive = try base.multiplied(by: try content.inverted())
            let outside = try root(Polynomial(content), exponent)
            guard let whole = try exponent.floor().small else { throw AlgebraLimit() }
            let rest = try exponent.adding(Rational(-whole))
            let inside = try opaque("root of " + primitive.canonicalText, exponent: rest)
            return try outside.multiplied(by: inside).multiplied(
                by: try RationalFunction(primitive).raised(to: whole))
        }
        var exponents: [Polynomial.Atom: Rational] = [:]
        for factor in term.monomial.factors {
            guard factor.atom != .imaginaryUnit else {
                return try opaque("root of " + base.canonicalText, exponent: exponent)
            }
            let power = try factor.exponent.multiplied(by: exponent)
            // The root of x² is |x|, which only numbers tell from x.
            if case .variable = factor.atom, !exponent.denominator.isOdd, factor.exponent.isInteger,
                !factor.exponent.numerator.isOdd, !power.isInteger || power.numerator.isOdd
            {
                return try opaque("root of " + base.canonicalText, exponent: exponent)
            }
            exponents[factor.atom] = power
        }
        var sign = Rational.one
        if term.coefficient.isNegative {
            if exponent.denominator == .small(2) {
                exponents[.imaginaryUnit] = try exponent.multiplied(by: Rational(2))
            } else if exponent.denominator.isOdd {
                // The real root, as taught in school, instead of the principal one.
                if exponent.numerator.isOdd { sign = Rational(-1) }
            } else {
                return try opaque("root of " + base.canonicalText, exponent: exponent)
            }
        }
        for (part, direction) in [(term.coefficient.numerator.magnitude, 1), (term.coefficient.denominator, -1)] {
            for (prime, count) in try Self.primeFactors(part) {
                let power = try Rational(count * direction).multiplied(by: exponent)
                exponents[.prime(prime)] = try (exponents[.prime(prime)] ?? .zero).adding(power)
            }
        }
        let (monomial, factor) = try Polynomial.Monomial.normalized(exponents)
        return RationalFunction(Polynomial(monomial, coefficient: try factor.multiplied(by: sign)))
    }

    /// Prime factors with their multiplicities.
    ///
    /// Trial division ends at 10⁴; a cofactor beyond 10⁸ counts as prime unless it is a square.
    private static func primeFactors(_ value: Integer) throws(AlgebraLimit) -> [(prime: Int, count: Int)] {
        var factors: [(prime: Int, count: Int)] = []
        var large = value
        var divisor = 2
        // Only small factors are searched in what does not fit into 64 bits.
        while large.small == nil, divisor < 200 {
            var count = 0
            while large.small == nil {
                let (quotient, rest) = try large.divided(by: .small(divisor))
                guard rest.isZero else { break }
                large = quotient
                count += 1
            }
            if count > 0 { factors.append((divisor, count)) }
            divisor += divisor == 2 ? 1 : 2
        }
        guard var rest = large.small, rest > 0 else { throw AlgebraLimit() }
        func add(_ prime: Int, _ count: Int) {
            guard count > 0 else { return }
            if let index = factors.firstIndex(where: { $0.prime == prime }) {
                factors[index].count += count
            } else {
                factors.append((prime, count))
            }
        }
        divisor = 2
        while divisor <= 10_000, divisor * divisor <= rest {
            var count = 0
            while rest % divisor == 0 {
                rest /= divisor
                count += 1
            }
            add(divisor, count)
            divisor += divisor == 2 ? 1 : 2
        }
        if rest > 1 {
            let side = Int(Double(rest).squareRoot().rounded())
            if side > 1, side.multipliedReportingOverflow(by: side) == (rest, false) {
                add(side, 2)
            } else {
                add(rest, 1)
            }
        }
        return factors
    }
}
