import Foundation

/// Whether two answers say the same number.
public struct MathGrader: AnswerGrader {
    public init() {}

    public func areRight(_ answers: [GradedAnswer]) -> [Bool] {
        answers.map { Self.areEquivalent($0.answer, $0.truth) }
    }

    /// True if the answers are the same text after normalising, or the same exact number.
    public static func areEquivalent(_ answer: String, _ truth: String) -> Bool {
        let answer = answer.trimmed
        let truth = truth.trimmed
        if answer == truth { return true }
        guard answer.utf8.count <= 1000, truth.utf8.count <= 1000 else { return false }
        let left = normalized(answer)
        let right = normalized(truth)
        if left == right, !left.isEmpty { return true }
        guard let left = Fraction(left), let right = Fraction(right) else { return false }
        return left == right
    }

    static func normalized(_ text: String) -> String {
        var text = text
        for (from, to) in [
            ("\\dfrac", "\\frac"), ("\\tfrac", "\\frac"), ("\\left", ""), ("\\right", ""), ("\\!", ""), ("\\,", ""),
            ("\\ ", ""), ("\\$", ""), ("$", ""), ("\\%", "%"), ("\u{2212}", "-"), (" ", ""), ("\n", ""),
        ] {
            text = text.replacingOccurrences(of: from, with: to)
        }
        if text.hasSuffix(".") { text.removeLast() }
        return text
    }
}

/// A number as a fraction of machine integers.
struct Fraction: Equatable {
    let numerator: Int
    let denominator: Int

    init?(_ numerator: Int, over denominator: Int) {
        guard denominator != 0, numerator != .min, denominator != .min else { return nil }
        var (a, b) = (abs(numerator), abs(denominator))
        while b != 0 { (a, b) = (b, a % b) }
        let divisor = max(1, a) * (denominator < 0 ? -1 : 1)
        self.numerator = numerator / divisor
        self.denominator = denominator / divisor
    }

    /// An integer, a decimal, a percentage, `a/b` or `\frac{a}{b}`.
    init?(_ text: String) {
        var text = text[...]
        var sign = 1
        if text.first == "-" {
            sign = -1
            text = text.dropFirst()
        }
        if text.hasPrefix("\\frac{"), text.hasSuffix("}") {
            let parts = text.dropFirst(6).dropLast().split(separator: "}{", omittingEmptySubsequences: false)
            guard parts.count == 2, let top = Int(parts[0]), let bottom = Int(parts[1]) else { return nil }
            self.init(sign * top, over: bottom)
            return
        }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count == 2 {
            guard let top = Int(parts[0]), let bottom = Int(parts[1]) else { return nil }
            self.init(sign * top, over: bottom)
            return
        }
        var scale = 1
        if text.last == "%" {
            scale = 100
            text = text.dropLast()
        }
        let digits = text.filter { $0 != "," }
        let halves = digits.split(separator: ".", omittingEmptySubsequences: false)
        guard halves.count <= 2, digits.count <= 16, digits.contains(where: \.isNumber),
            halves.allSatisfy({ $0.allSatisfy { $0.isASCII && $0.isNumber } }),
            let value = Int(halves.joined())
        else { return nil }
        for _ in 0..<(halves.count == 2 ? halves[1].count : 0) { scale *= 10 }
        self.init(sign * value, over: scale)
    }
}
