/// A task for models of about half a million parameters, in which thinking helps at some levels only.
///
/// A problem is a chain of operations, evaluated from left to right without precedence modulo `modulus`: `7+9*3-8?`.
/// The working writes every step (`7+9=6,6*3=8,8-8=0`; see `WorkingDetail`); the answer is the last value. Short mode
/// can learn one or two steps, but not many. A decoy is as long as its hard level, but its second-to-last operation
/// multiplies by 0, so short mode can answer it; choosing the mode by prompt length fails there.
///
/// A problem ends in a character that the working does not contain. The model chooses its mode at the last token of
/// the prompt. With `=`, which is in every step of the working, learning to choose would change how the working is read
/// (measured: the attention of the first layer at `=` learns to look for `*0`, and the accuracy of forced thinking
/// falls from 1.00 to 0.5).
package struct EmbeddedTask: Sendable, Equatable {
    /// The place at which a chain multiplies by 0, which makes the earlier operations irrelevant.
    package enum Zero: String, Sendable {
        case none
        /// The second-to-last operation: a decoy, which short mode can answer.
        case beforeLast = "before-last"
        /// A random operation: short mode can answer if few operations follow.
        case anywhere
    }

    /// A set of levels; the raw value is the name on the command line.
    package enum LevelSet: String, Sendable, CaseIterable {
        /// L1, L2, L6, D6.
        case basic
        /// L1 and L3 of one length, and L4, D4 and M4 of one length.
        ///
        /// Short mode can answer some problems of M4. Workings are detailed, so responses with thinking are 5 to 10
        /// times as long as short ones.
        case graded
    }

    /// How a working writes its steps.
    enum WorkingDetail: Sendable {
        /// With the reduced result: `7+9=6,6*3=8`.
        case brief
        /// With the result before and after reduction, and first a step that reduces a start of several digits:
        /// `417=7,7+9=16=6,6*3=18=8`.
        case detailed
    }

    /// The parameters of one level.
    package struct Level: Sendable, Equatable {
        package var name: String
        package var operationCount: Int
        /// The range of the first number.
        package var start: ClosedRange<Int>
        package var zero: Zero
        /// The relative share in the warm-up.
        var warmUpWeight: Double
        /// The relative share in reinforcement learning.
        var learningWeight: Double

        package init(
            _ name: String, operationCount: Int, start: ClosedRange<Int> = 1...9, zero: Zero = .none,
            warmUpWeight: Double = 1, learningWeight: Double = 1
        ) {
            self.name = name
            self.operationCount = operationCount
            self.start = start
            self.zero = zero
            self.warmUpWeight = warmUpWeight
            self.learningWeight = learningWeight
        }
    }

    package var modulus = 10
    /// Operands of + and −.
    package var addends = 1...9
    /// Operands of ×; units modulo 10, so that every operation depends on its left operand.
    package var factors = [3, 7, 9]
    /// The last character of a problem, which the working does not contain.
    package var ending = "?"
    var workingDetail = WorkingDetail.brief
    /// The levels with their default shares.
    ///
    /// The shares in reinforcement learning are balanced so that at the start the pressures towards and away from
    /// thinking cancel; with an unbalanced mix, all levels first move in the same direction.
    package var levels = [
        Level("L1", operationCount: 1, start: 10...99, warmUpWeight: 2.5, learningWeight: 10),
        Level("L2", operationCount: 2, warmUpWeight: 1.5, learningWeight: 5),
        Level("L6", operationCount: 6, warmUpWeight: 3, learningWeight: 6),
        Level("D6", operationCount: 6, zero: .beforeLast, warmUpWeight: 2, learningWeight: 11),
    ]

    package init(_ levelSet: LevelSet = .basic) {
        guard levelSet == .graded else { return }
        workingDetail = .detailed
        levels = [
            Level("L1", operationCount: 1, start: 10000...99999, warmUpWeight: 5, learningWeight: 12),
            Level("L3", operationCount: 3, warmUpWeight: 1.5, learningWeight: 3),
            Level("L4", operationCount: 4, warmUpWeight: 3, learningWeight: 5),
            Level("D4", operationCount: 4, zero: .beforeLast, warmUpWeight: 2, learningWeight: 12),
            Level("M4", operationCount: 4, zero: .anywhere, warmUpWeight: 2, learningWeight: 5),
        ]
    }

    /// All characters of problems and responses, including the line feed after the control token.
    ///
    /// `ckpt init` needs them as its vocabulary.
    package static let alphabet = "\n*+,-0123456789=?"

    /// The number of different problems of a level, at most `Int.max`.
    package func problemCount(_ level: Level) -> Int {
        let choices = 2 * addends.count + factors.count
        let places = level.zero == .anywhere ? max(1, level.operationCount) : 1
        var (count, overflow) = level.start.count.multipliedReportingOverflow(by: places)
        if overflow { return .max }
        for _ in 0..<(level.operationCount - (level.zero == .none ? 0 : 1)) {
            (count, overflow) = count.multipliedReportingOverflow(by: choices)
            if overflow { return .max }
        }
        return count
    }

    /// The index of the operation that multiplies by 0.
    private func zeroPlace(_ level: Level, using generator: inout some RandomNumberGenerator) -> Int? {
        switch level.zero {
        case .none: nil
        case .beforeLast: max(0, level.operationCount - 2)
        case .anywhere: (0..<level.operationCount).randomElement(using: &generator)
        }
    }
}

extension EmbeddedTask {
    /// A problem with both responses.
    package struct Example: Sendable, Equatable {
        package var level: String
        /// Ends in `ending`.
        package var problem: String
        /// All steps, separated by commas.
        package var working: String
        package var answer: String

        func problem(id: String) -> Problem {
            Problem(id: id, problem: problem, answer: answer, level: level, source: "embedded")
        }

        func pair(id: String) -> Pair {
            Pair(
                id: id, problem: problem, think: .init(working: working, answer: answer), short: answer,
                answer: answer, level: level)
        }
    }

    /// A random example of a level.
    package func example(_ level: Level, using generator: inout some RandomNumberGenerator) -> Example {
        let start = Int.random(in: level.start, using: &generator)
        let zeroIndex = zeroPlace(level, using: &generator)
        var problem = String(start)
        var steps: [String] = []
        var value = start
        if workingDetail == .detailed, start >= modulus {
            value = wrapped(start)
            steps.append("\(start)=\(text(value))")
        }
        for index in 0..<level.operationCount {
            let (symbol, operand) = index == zeroIndex ? ("*", 0) : operation(using: &generator)
            let result = apply(symbol, value, operand)
            // The first number is written as in the problem, results with the width of a value.
            let left = index == 0 && value == start ? String(start) : text(value)
            let whole = workingDetail == .detailed ? "=\(result)" : ""
            value = wrapped(result)
            steps.append("\(left)\(symbol)\(operand)\(whole)=\(text(value))")
            problem += "\(symbol)\(operand)"
        }
        return Example(
            level: level.name, problem: problem + ending, working: steps.joined(separator: ","), answer: text(value))
    }

    private func operation(using generator: inout some RandomNumberGenerator) -> (symbol: Character, operand: Int) {
        let symbol = (["+", "-", "*"] as [Character]).randomElement(using: &generator) ?? "+"
        if symbol == "*", let factor = factors.randomElement(using: &generator) { return ("*", factor) }
        return (symbol, Int.random(in: addends, using: &generator))
    }

    private func apply(_ symbol: Character, _ value: Int, _ operand: Int) -> Int {
        symbol == "+" ? value + operand : symbol == "-" ? value - operand : value * operand
    }

    private func wrapped(_ value: Int) -> Int { (value % modulus + modulus) % modulus }

    /// A value padded to the digits of the largest one.
    private func text(_ value: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, String(modulus - 1).count - digits.count)) + digits
    }
}
