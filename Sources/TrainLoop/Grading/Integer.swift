import BigInt

/// An integer of any size up to `maximumBitCount`, fast where it fits into 64 bits.
///
/// Operations throw when a result is larger, or when `WorkLimit` is used up.
enum Integer: Hashable, Sendable {
    case small(Int)
    /// Only values that do not fit into an `Int`, so that equal integers have equal cases.
    indirect case big(BigInt)

    static let maximumBitCount = 32_768

    init(_ value: Int) { self = .small(value) }

    private init(_ value: BigInt) throws(AlgebraLimit) {
        if let small = Int(exactly: value) {
            self = .small(small)
        } else {
            guard value.magnitude.bitWidth <= Self.maximumBitCount else { throw AlgebraLimit() }
            self = .big(value)
        }
    }

    /// The value of decimal digits.
    init(digits: some StringProtocol) throws(AlgebraLimit) {
        if let small = Int(digits) {
            self = .small(small)
        } else {
            // Four bits hold more than a digit.
            guard digits.utf8.count <= Self.maximumBitCount / 4 else { throw AlgebraLimit() }
            try WorkLimit.charge(digits.utf8.count * digits.utf8.count / 128)
            guard let value = BigInt(String(digits)) else { throw AlgebraLimit() }
            try self.init(value)
        }
    }

    private var bigInt: BigInt {
        switch self {
        case .small(let value): BigInt(value)
        case .big(let value): value
        }
    }

    private var wordCount: Int {
        switch self {
        case .small: 1
        case .big(let value): (value.magnitude.bitWidth + 63) / 64
        }
    }

    var bitCount: Int {
        switch self {
        case .small(let value): Int.bitWidth - value.magnitude.leadingZeroBitCount
        case .big(let value): value.magnitude.bitWidth
        }
    }

    var small: Int? {
        if case .small(let value) = self { value } else { nil }
    }
    var isZero: Bool { self == .small(0) }
    var isNegative: Bool {
        switch self {
        case .small(let value): value < 0
        case .big(let value): value.sign == .minus
        }
    }
    var isOdd: Bool {
        switch self {
        case .small(let value): value & 1 == 1
        case .big(let value): value.magnitude.trailingZeroBitCount == 0
        }
    }
    var double: Double {
        switch self {
        case .small(let value): Double(value)
        case .big(let value): Double(value)
        }
    }

    var negated: Integer {
        switch self {
        case .small(let value) where value != .min: .small(-value)
        case .small(let value): .big(-BigInt(value))
        // The negative of 2⁶³ fits.
        case .big(let value): Int(exactly: -value).map { .small($0) } ?? .big(-value)
        }
    }
    var magnitude: Integer { isNegative ? negated : self }

    func adding(_ other: Integer) throws(AlgebraLimit) -> Integer {
        if case .small(let left) = self, case .small(let right) = other {
            let (sum, overflow) = left.addingReportingOverflow(right)
            if !overflow { return .small(sum) }
        }
        try WorkLimit.charge(wordCount + other.wordCount)
        return try Integer(bigInt + other.bigInt)
    }

    func multiplied(by other: Integer) throws(AlgebraLimit) -> Integer {
        if case .small(let left) = self, case .small(let right) = other {
            let (product, overflow) = left.multipliedReportingOverflow(by: right)
            if !overflow { return .small(product) }
        }
        guard bitCount + other.bitCount <= Self.maximumBitCount + 1 else { throw AlgebraLimit() }
        try WorkLimit.charge(wordCount * other.wordCount + 8)
        return try Integer(bigInt * other.bigInt)
    }

    /// The quotient rounded towards zero, and the rest.
    func divided(by other: Integer) throws(AlgebraLimit) -> (quotient: Integer, rest: Integer) {
        guard !other.isZero else { throw AlgebraLimit() }
        if case .small(let left) = self, case .small(let right) = other, left != .min || right != -1 {
            return (.small(left / right), .small(left % right))
        }
        try WorkLimit.charge(wordCount * other.wordCount + 8)
        let (quotient, rest) = bigInt.quotientAndRemainder(dividingBy: other.bigInt)
        return (try Integer(quotient), try Integer(rest))
    }

    /// The greatest common divisor; positive unless both are zero.
    func commonDivisor(_ other: Integer) throws(AlgebraLimit) -> Integer {
        var (first, second) = (magnitude, other.magnitude)
        while !second.isZero {
            if case .small(var left) = first, case .small(var right) = second {
                while right != 0 { (left, right) = (right, left % right) }
                return .small(left)
            }
            if case .big(let left) = first, case .big(let right) = second {
                // Stein's algorithm halves one of both in each step.
                let words = max(first.wordCount, second.wordCount)
                try WorkLimit.charge(128 * words * (words + 4))
                return try Integer(left.greatestCommonDivisor(with: right))
            }
            (first, second) = (second, try first.divided(by: second).rest)
        }
        return first
    }

    /// - Throws: `AlgebraLimit` also for a negative power.
    func raised(to power: Int) throws(AlgebraLimit) -> Integer {
        if power == 0 || self == .small(1) { return .small(1) }
        if isZero || power == 1 { return self }
        if self == .small(-1) { return .small(power % 2 == 0 ? 1 : -1) }
        guard power > 0, power <= Self.maximumBitCount, (bitCount - 1) * power <= Self.maximumBitCount else {
            throw AlgebraLimit()
        }
        var result = Integer.small(1)
        var square = self
        var rest = power
        while true {
            if rest & 1 == 1 { result = try result.multiplied(by: square) }
            rest >>= 1
            if rest == 0 { return result }
            square = try square.multiplied(by: square)
        }
    }
}

extension Integer: Comparable {
    static func < (left: Integer, right: Integer) -> Bool {
        if case .small(let left) = left, case .small(let right) = right { return left < right }
        return left.bigInt < right.bigInt
    }
}

extension Integer: CustomStringConvertible {
    /// Decimal digits, or hexadecimal ones for large values, which take linear time.
    var description: String {
        switch self {
        case .small(let value): "\(value)"
        case .big(let value): "0x" + String(value, radix: 16)
        }
    }
}
