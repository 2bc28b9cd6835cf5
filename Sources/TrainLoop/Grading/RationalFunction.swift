/// A quotient of polynomials: the exact value of an expression.
struct RationalFunction {
    var numerator: Polynomial
    var denominator: Polynomial

    init(_ numerator: Polynomial, over denominator: Polynomial = Polynomial(.one)) {
        self.numerator = numerator
        self.denominator = denominator
    }

    init(_ value: Rational) { self.init(Polynomial(value)) }

    /// The value of a constant function; nil for others.
    var constant: Rational? {
        guard let top = numerator.constant, let bottom = denominator.constant else { return nil }
        return try? top.multiplied(by: bottom.inverted())
    }

    func adding(_ other: Self) throws(AlgebraLimit) -> Self {
        if denominator == other.denominator {
            return Self(try numerator.adding(other.numerator), over: denominator)
        }
        return Self(
            try numerator.multiplied(by: other.denominator).adding(
                try other.numerator.multiplied(by: denominator)),
            over: try denominator.multiplied(by: other.denominator))
    }

    func multiplied(by other: Self) throws(AlgebraLimit) -> Self {
        Self(
            try numerator.multiplied(by: other.numerator), over: try denominator.multiplied(by: other.denominator))
    }

    func inverted() throws(AlgebraLimit) -> Self {
        guard !numerator.isZero else { throw AlgebraLimit() }
        return Self(denominator, over: numerator)
    }

    /// - Throws: `AlgebraLimit` if a denominator is zero or a product becomes too large.
    func isEqual(to other: Self) throws(AlgebraLimit) -> Bool {
        guard !denominator.isZero, !other.denominator.isZero else { throw AlgebraLimit() }
        return try numerator.multiplied(by: other.denominator)
            == (try other.numerator.multiplied(by: denominator))
    }

    /// A text that is the same for quotients whose parts differ by one rational factor only.
    func canonicalText() throws(AlgebraLimit) -> String {
        let factor = try denominator.leadingCoefficient.inverted()
        let top = try numerator.multiplied(by: factor).canonicalText
        let bottom = try denominator.multiplied(by: factor).canonicalText
        return "(\(top))/(\(bottom))"
    }

    func raised(to power: Int) throws(AlgebraLimit) -> Self {
        if let constant, let value = try? constant.raised(to: power) { return Self(value) }
        guard abs(power) <= 64 else { throw AlgebraLimit() }
        let base = power < 0 ? try inverted() : self
        var result = Self(.one)
        for _ in 0..<abs(power) { result = try result.multiplied(by: base) }
        return result
    }
}
