/// A number or an expression became too large, or is undefined.
struct AlgebraLimit: Error {}

/// An exact fraction in lowest terms, with a positive denominator.
///
/// Operations throw on results beyond the limits of `Integer`.
struct Rational: Hashable, Sendable {
    let numerator: Integer
    let denominator: Integer

    static let zero = Rational(0)
    static let one = Rational(1)

    init(_ value: Int) { self.init(.small(value)) }

    init(_ value: Integer) {
        numerator = value
        denominator = .small(1)
    }

    private init(unchecked numerator: Integer, _ denominator: Integer) {
        self.numerator = numerator
        self.denominator = denominator
    }

    /// - Throws: `AlgebraLimit` if the denominator is 0.
    init(_ numerator: Integer, over denominator: Integer) throws(AlgebraLimit) {
        guard !denominator.isZero else { throw AlgebraLimit() }
        if denominator == .small(1) {
            self.init(numerator)
            return
        }
        var divisor = try numerator.commonDivisor(denominator)
        if denominator.isNegative { divisor = divisor.negated }
        self.init(
            unchecked: try numerator.divided(by: divisor).quotient, try denominator.divided(by: divisor).quotient)
    }

    /// The value of digits with at most one decimal point, and repeating digits in brackets: `12`, `.5`, `0.1(6)`.
    init(decimal text: some StringProtocol) throws(AlgebraLimit) {
        if let small = Int(text) {
            self.init(small)
            return
        }
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            self.init(try Integer(digits: text))
            return
        }
        let fraction = parts[1].split(separator: "(", maxSplits: 1, omittingEmptySubsequences: false)
        let scale = try Integer(10).raised(to: fraction[0].count)
        let digits = String(parts[0]) + fraction[0]
        let fixed = try Rational(digits.isEmpty ? .small(0) : Integer(digits: digits), over: scale)
        guard fraction.count == 2 else {
            self = fixed
            return
        }
        let period = fraction[1].dropLast()
        let nines = try Integer(10).raised(to: period.count).adding(.small(-1))
        self = try fixed.adding(try Rational(Integer(digits: period), over: nines.multiplied(by: scale)))
    }

    var isInteger: Bool { denominator == .small(1) }
    var isNegative: Bool { numerator.isNegative }
    var isZero: Bool { numerator.isZero }
    var double: Double {
        // Both may be beyond the range of a Double although the quotient is not.
        let excess = max(numerator.bitCount, denominator.bitCount) - 1000
        guard excess > 0, let scale = try? Integer(2).raised(to: excess),
            let top = try? numerator.divided(by: scale).quotient,
            let bottom = try? denominator.divided(by: scale).quotient
        else { return numerator.double / denominator.double }
        return top.double / bottom.double
    }

    /// The value as an `Int`; nil for fractions and larger numbers.
    var integer: Int? { isInteger ? numerator.small : nil }

    /// Rounded towards minus infinity.
    func floor() throws(AlgebraLimit) -> Integer {
        let (quotient, rest) = try numerator.divided(by: denominator)
        return rest.isNegative ? try quotient.adding(.small(-1)) : quotient
    }

    var negated: Rational { Rational(unchecked: numerator.negated, denominator) }
    var magnitude: Rational { Rational(unchecked: numerator.magnitude, denominator) }

    func adding(_ other: Rational) throws(AlgebraLimit) -> Rational {
        if isInteger, other.isInteger { return Rational(try numerator.adding(other.numerator)) }
        let left = try numerator.multiplied(by: other.denominator)
        let right = try other.numerator.multiplied(by: denominator)
        return try Rational(try left.adding(right), over: try denominator.multiplied(by: other.denominator))
    }

    func multiplied(by other: Rational) throws(AlgebraLimit) -> Rational {
        if isInteger, other.isInteger { return Rational(try numerator.multiplied(by: other.numerator)) }
        // Reducing crosswise first keeps the numbers small.
        let first = try Rational(numerator, over: other.denominator)
        let second = try Rational(other.numerator, over: denominator)
        return Rational(
            unchecked: try first.numerator.multiplied(by: second.numerator),
            try first.denominator.multiplied(by: second.denominator))
    }

    func inverted() throws(AlgebraLimit) -> Rational {
        guard !isZero else { throw AlgebraLimit() }
        return numerator.isNegative
            ? Rational(unchecked: denominator.negated, numerator.negated) : Rational(unchecked: denominator, numerator)
    }

    func raised(to power: Int) throws(AlgebraLimit) -> Rational {
        let base = power < 0 ? try inverted() : self
        guard power != .min else { throw AlgebraLimit() }
        // Powers of coprime numbers are coprime.
        return Rational(
            unchecked: try base.numerator.raised(to: abs(power)), try base.denominator.raised(to: abs(power)))
    }
}

extension Rational: Comparable {
    /// Exact unless the cross products are too large; then in floating point.
    static func < (left: Rational, right: Rational) -> Bool {
        if let first = try? left.numerator.multiplied(by: right.denominator),
            let second = try? right.numerator.multiplied(by: left.denominator)
        {
            return first < second
        }
        return left.double < right.double
    }
}

extension Rational: CustomStringConvertible {
    var description: String { isInteger ? "\(numerator)" : "\(numerator)/\(denominator)" }
}
