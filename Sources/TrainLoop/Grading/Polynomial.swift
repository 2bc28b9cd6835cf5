/// A sum of rational multiples of monomials in atoms.
///
/// Atoms are variables, π, e, i, primes under a root (with exponents in 0..<1; whole powers go into the coefficient)
/// and opaque expressions. Products of different roots of primes are linearly independent over the rationals, so a
/// polynomial without opaque atoms is zero only if it has no terms.
struct Polynomial: Hashable {
    /// Atoms with non-zero exponents, sorted by atom.
    struct Monomial: Hashable {
        struct Factor: Hashable {
            var atom: Atom
            var exponent: Rational
        }
        var factors: [Factor] = []
    }

    enum Atom: Hashable, Comparable {
        case prime(Int)
        case imaginaryUnit
        case constant(String)
        case variable(String)
        /// An expression that algebra does not expand, by its canonical text.
        case opaque(String)
    }

    private(set) var terms: [Monomial: Rational] = [:]

    static let maximumTermCount = 400

    init() {}

    init(_ constant: Rational) { if !constant.isZero { terms[Monomial()] = constant } }

    init(_ atom: Atom, exponent: Rational = .one) {
        terms[Monomial(factors: [.init(atom: atom, exponent: exponent)])] = .one
    }

    init(_ monomial: Monomial, coefficient: Rational) { if !coefficient.isZero { terms[monomial] = coefficient } }

    var isZero: Bool { terms.isEmpty }

    /// The only term; nil if there are none or several.
    var singleTerm: (monomial: Monomial, coefficient: Rational)? {
        terms.count == 1 ? terms.first.map { ($0.key, $0.value) } : nil
    }

    /// The value of a constant polynomial; nil for others.
    var constant: Rational? {
        if terms.isEmpty { return .zero }
        return singleTerm.flatMap { $0.monomial.factors.isEmpty ? $0.coefficient : nil }
    }

    func adding(_ other: Polynomial) throws(AlgebraLimit) -> Polynomial {
        var result = self
        for (monomial, coefficient) in other.terms { try result.add(coefficient, monomial) }
        return result
    }

    func multiplied(by other: Polynomial) throws(AlgebraLimit) -> Polynomial {
        guard terms.count * other.terms.count <= 20_000 else { throw AlgebraLimit() }
        var result = Polynomial()
        for (left, leftCoefficient) in terms {
            for (right, rightCoefficient) in other.terms {
                let (monomial, factor) = try left.multiplied(by: right)
                try result.add(try leftCoefficient.multiplied(by: rightCoefficient).multiplied(by: factor), monomial)
            }
        }
        return result
    }

    func multiplied(by factor: Rational) throws(AlgebraLimit) -> Polynomial {
        var result = Polynomial()
        for (monomial, coefficient) in terms { try result.add(try coefficient.multiplied(by: factor), monomial) }
        return result
    }

    private mutating func add(_ coefficient: Rational, _ monomial: Monomial) throws(AlgebraLimit) {
        let sum = try (terms[monomial] ?? .zero).adding(coefficient)
        terms[monomial] = sum.isZero ? nil : sum
        guard terms.count <= Self.maximumTermCount else { throw AlgebraLimit() }
    }

    /// A text that is the same for equal polynomials.
    var canonicalText: String {
        terms.map { monomial, coefficient in
            monomial.factors.map { "\($0.atom)^\($0.exponent)" }.joined(separator: "*") + ":\(coefficient)"
        }.sorted().joined(separator: "+")
    }

    /// The coefficient that comes first in the canonical order; 1 for zero.
    var leadingCoefficient: Rational {
        let first = terms.min { left, right in
            left.key.factors.map { "\($0.atom)^\($0.exponent)" }.joined(separator: "*")
                < right.key.factors.map { "\($0.atom)^\($0.exponent)" }.joined(separator: "*")
        }
        return first?.value ?? .one
    }
}

extension Polynomial.Monomial {
    /// The product, with its rational factor apart.
    func multiplied(by other: Self) throws(AlgebraLimit) -> (monomial: Self, factor: Rational) {
        var exponents: [Polynomial.Atom: Rational] = [:]
        for factor in factors { exponents[factor.atom] = factor.exponent }
        for factor in other.factors {
            exponents[factor.atom] = try (exponents[factor.atom] ?? .zero).adding(factor.exponent)
        }
        return try Self.normalized(exponents)
    }

    /// A monomial from exponents; whole powers of primes and of i go into the rational factor.
    static func normalized(
        _ exponents: [Polynomial.Atom: Rational]
    ) throws(AlgebraLimit) -> (monomial: Self, factor: Rational) {
        var rational = Rational.one
        var factors: [Factor] = []
        for (atom, exponent) in exponents {
            var exponent = exponent
            switch atom {
            case .prime(let prime):
                guard let whole = try exponent.floor().small else { throw AlgebraLimit() }
                rational = try rational.multiplied(by: Rational(prime).raised(to: whole))
                exponent = try exponent.adding(Rational(-whole))
            case .imaginaryUnit:
                guard let whole = exponent.integer else { throw AlgebraLimit() }
                let phase = ((whole % 4) + 4) % 4
                if phase >= 2 { rational = rational.negated }
                exponent = Rational(phase % 2)
            case .constant, .variable, .opaque: break
            }
            if !exponent.isZero { factors.append(Factor(atom: atom, exponent: exponent)) }
        }
        factors.sort { $0.atom < $1.atom }
        return (Self(factors: factors), rational)
    }
}
