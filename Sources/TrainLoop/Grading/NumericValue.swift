import Foundation

/// A complex number in double precision, with the operations that comparing answers needs.
struct NumericValue: Equatable {
    var real: Double
    var imaginary: Double

    init(_ real: Double, _ imaginary: Double = 0) {
        self.real = real
        self.imaginary = imaginary
    }

    var magnitude: Double { hypot(real, imaginary) }
    var isFinite: Bool { real.isFinite && imaginary.isFinite }
    var isReal: Bool { imaginary == 0 }

    static func + (left: Self, right: Self) -> Self { Self(left.real + right.real, left.imaginary + right.imaginary) }

    static func * (left: Self, right: Self) -> Self {
        Self(
            left.real * right.real - left.imaginary * right.imaginary,
            left.real * right.imaginary + left.imaginary * right.real)
    }

    var inverted: Self {
        let square = real * real + imaginary * imaginary
        return Self(real / square, -imaginary / square)
    }

    /// The principal logarithm.
    var logarithm: Self { Self(log(magnitude), atan2(imaginary, real)) }

    var exponentiated: Self { Self(exp(real) * cos(imaginary), isReal ? 0 : exp(real) * sin(imaginary)) }

    /// Equality up to rounding: within 1e-10 of the larger magnitude plus 1e-13.
    func isClose(to other: Self) -> Bool {
        let distance = (self + other * Self(-1)).magnitude
        return distance <= 1e-10 * max(magnitude, other.magnitude) + 1e-13
    }
}

extension MathExpression {
    /// The value in double precision; nil if it is undefined or not supported.
    func numericValue(_ variables: (String) -> Double, depth: Int = 0) -> NumericValue? {
        guard depth < 100 else { return nil }
        func value(_ expression: MathExpression) -> NumericValue? {
            expression.numericValue(variables, depth: depth + 1)
        }
        let result: NumericValue?
        switch self {
        case .number(let value), .mixed(let value): result = NumericValue(value.double)
        case .variable(let name): result = NumericValue(variables(name))
        case .pi: result = NumericValue(.pi)
        case .euler: result = NumericValue(M_E)
        case .imaginaryUnit: result = NumericValue(0, 1)
        case .infinity: result = nil
        case .negation(let inner): result = value(inner).map { $0 * NumericValue(-1) }
        case .sum(let terms):
            result = terms.reduce(NumericValue(0)) { sum, term in sum.flatMap { sum in value(term).map { sum + $0 } } }
        case .product(let factors):
            result = factors.reduce(NumericValue(1)) { product, factor in
                product.flatMap { product in value(factor).map { product * $0 } }
            }
        case .quotient(let top, let bottom):
            guard let top = value(top), let bottom = value(bottom) else { return nil }
            result = top * bottom.inverted
        case .power(let base, let exponent):
            guard let base = value(base), let exponent = value(exponent) else { return nil }
            result = Self.power(base, exponent, isOddRoot: exponentIsOddRoot)
        case .function(let name, let argument): result = value(argument).flatMap { Self.apply(name, $0) }
        case .logarithm(let base, let argument):
            guard let base = value(base), let argument = value(argument), base.magnitude > 0, argument.magnitude > 0
            else { return nil }
            result = argument.logarithm * base.logarithm.inverted
        case .absolute(let inner): result = value(inner).map { NumericValue($0.magnitude) }
        case .factorial(let inner):
            guard let count = value(inner), count.isReal, count.real >= 0, count.real <= 170 else { return nil }
            result = NumericValue(tgamma(count.real + 1))
        case .binomial: result = nil
        }
        return result.flatMap { $0.isFinite ? $0 : nil }
    }

    /// True for `x^(p/q)` with odd q: its value at negative x is the real root.
    private var exponentIsOddRoot: Bool {
        guard case .power(_, let exponent) = self, let exponent = exponent.numeral else { return false }
        return exponent.denominator.isOdd && !exponent.isInteger
    }

    private static func power(_ base: NumericValue, _ exponent: NumericValue, isOddRoot: Bool) -> NumericValue? {
        if base.magnitude == 0 { return exponent.real > 0 ? NumericValue(0) : nil }
        if base.isReal, exponent.isReal {
            if base.real > 0 || exponent.real == exponent.real.rounded() {
                return NumericValue(pow(base.real, exponent.real))
            }
            if isOddRoot { return NumericValue(-pow(-base.real, exponent.real)) }
        }
        return (base.logarithm * exponent).exponentiated
    }

    private static func apply(_ name: String, _ argument: NumericValue) -> NumericValue? {
        if name == "ln" { return argument.magnitude > 0 ? argument.logarithm : nil }
        if name == "exp" { return argument.exponentiated }
        guard argument.isReal else { return nil }
        let functions: [String: (Double) -> Double] = [
            "sin": { sin($0) }, "cos": { cos($0) }, "tan": { tan($0) }, "cot": { 1 / tan($0) },
            "sec": { 1 / cos($0) }, "csc": { 1 / sin($0) }, "arcsin": { asin($0) }, "arccos": { acos($0) },
            "arctan": { atan($0) }, "floor": { $0.rounded(.down) }, "ceil": { $0.rounded(.up) }, "sinh": { sinh($0) },
            "cosh": { cosh($0) }, "tanh": { tanh($0) },
        ]
        return functions[name].map { NumericValue($0(argument.real)) }
    }
}
