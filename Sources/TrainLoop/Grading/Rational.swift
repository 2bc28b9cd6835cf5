/// A number or an expression became too large, or is undefined.
struct AlgebraLimit: Error {}

/// An exact fraction of 128-bit integers in lowest terms, with a positive denominator.
///
/// Operations throw on overflow.
struct Rational: Hashable, Sendable {
    let numerator: Int128
    let denominator: Int128

    static let zero = Rational(0)
    static let one = Rational(1)

    init(_ value: Int) {
        numerator = Int128(value)
        denominator = 1
    }

    private init(unchecked numerator: Int128, _ denominator: Int128) {
        self.numerator = numerator
        self.denominator = denominator
    }

    /// - Throws: `AlgebraLimit` if the denominator is 0 or either number is `Int128.min`.
    init(_ numerator: Int128, over denominator: Int128) throws(AlgebraLimit) {
        guard denominator != 0, numerator != .min, denominator != .min else { throw AlgebraLimit() }
        var (divisor, rest) = (abs(numerator), abs(denominator))
        while rest != 0 { (divisor, rest) = (rest, divisor % rest) }
        if denominator < 0 { divisor = -divisor }
        self.numerator = numerator / divisor
        self.denominator = denominator / divisor
    }

    /// The value of digits with at most one decimal point: `12`, `0.5`, `.5`.
    init(decimal text: some StringProtocol) throws(AlgebraLimit) {
        var value: Int128 = 0
        var scale: Int128 = 1
        var isFraction = false
        for byte in text.utf8 {
            if byte == UInt8(ascii: ".") {
                isFraction = true
                continue
            }
            value = try Self.product(value, 10)
            value = try Self.sum(value, Int128(byte) - 48)
            if isFraction { scale = try Self.product(scale, 10) }
        }
        try self.init(value, over: scale)
    }

    var isInteger: Bool { denominator == 1 }
    var isNegative: Bool { numerator < 0 }
    var isZero: Bool { numerator == 0 }
    var double: Double { Double(numerator) / Double(denominator) }

    /// The value as an `Int`; nil for fractions and larger numbers.
    var integer: Int? { denominator == 1 ? Int(exactly: numerator) : nil }

    /// Rounded towards minus infinity.
    var floor: Int128 {
        let quotient = numerator / denominator
        return numerator < 0 && quotient * denominator != numerator ? quotient - 1 : quotient
    }

    var negated: Rational { Rational(unchecked: -numerator, denominator) }
    var magnitude: Rational { Rational(unchecked: abs(numerator), denominator) }

    func adding(_ other: Rational) throws(AlgebraLimit) -> Rational {
        let left = try Self.product(numerator, other.denominator)
        let right = try Self.product(other.numerator, denominator)
        return try Rational(try Self.sum(left, right), over: try Self.product(denominator, other.denominator))
    }

    func multiplied(by other: Rational) throws(AlgebraLimit) -> Rational {
        // Reducing crosswise first avoids needless overflow.
        let first = try Rational(numerator, over: other.denominator)
        let second = try Rational(other.numerator, over: denominator)
        return Rational(
            unchecked: try Self.product(first.numerator, second.numerator),
            try Self.product(first.denominator, second.denominator))
    }

    func inverted() throws(AlgebraLimit) -> Rational { try Rational(denominator, over: numerator) }

    func raised(to power: Int) throws(AlgebraLimit) -> Rational {
        guard abs(power) <= 4096 else {
            if self == .one || isZero { return self }
            throw AlgebraLimit()
        }
        let base = power < 0 ? try inverted() : self
        var result = Rational.one
        for _ in 0..<abs(power) {
            result = try result.multiplied(by: base)
            if result == .one || result.isZero, power > 1, base == result { return result }
        }
        return result
    }

    static func product(_ left: Int128, _ right: Int128) throws(AlgebraLimit) -> Int128 {
        let (value, overflow) = left.multipliedReportingOverflow(by: right)
        if overflow || value == .min { throw AlgebraLimit() }
        return value
    }

    private static func sum(_ left: Int128, _ right: Int128) throws(AlgebraLimit) -> Int128 {
        let (value, overflow) = left.addingReportingOverflow(right)
        if overflow || value == .min { throw AlgebraLimit() }
        return value
    }
}

extension Rational: Comparable {
    /// Exact if the cross products fit into 128 bits, otherwise in floating point.
    static func < (left: Rational, right: Rational) -> Bool {
        if let first = try? product(left.numerator, right.denominator),
            let second = try? product(right.numerator, left.denominator)
        {
            return first < second
        }
        return left.double < right.double
    }
}

extension Rational: CustomStringConvertible {
    var description: String { isInteger ? "\(numerator)" : "\(numerator)/\(denominator)" }
}
