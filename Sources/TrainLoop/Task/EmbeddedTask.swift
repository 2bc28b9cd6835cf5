/// A task small enough for a model of half a million parameters, on which thinking pays at some levels only.
///
/// A problem is a chain of operations, worked from left to right modulo `modulus` with no precedence: `7+9*3-8?`.
/// The working writes every step (`7+9=6,6*3=8,8-8=0`; see `WorkingDetail`), the answer is the last value. Short mode can learn one or two
/// steps at once and not many. A decoy is as long as the hard level it belongs to, but its last operation but one
/// multiplies by 0, so that short mode can answer it: who chooses by the length of the prompt chooses wrongly there.
///
/// A problem ends in a sign of its own on purpose. The mode is chosen at the prompt's last token; were that the `=`
/// which also stands in every step of the working, learning to choose would change how the working is read (measured:
/// the first layer's attention at `=` learns to look for `*0`, and forced thinking falls from 1.00 to 0.5).
public struct EmbeddedTask: Sendable, Equatable {
    /// Where a chain multiplies by 0. What comes before that need not be worked out.
    public enum Zero: String, Sendable {
        case none
        /// The last operation but one: a decoy, which short mode can answer.
        case beforeLast = "before-last"
        /// One operation, each as likely: short mode can answer where few operations come behind it.
        case anywhere
    }

    /// Which levels there are. The raw value is the name on the command line.
    public enum Kind: String, Sendable, CaseIterable {
        /// L1, L2, L6, D6.
        case basic
        /// L1, as long as L3 by its larger start, L3, and, of one length, L4, D4, and M4, which short mode can answer in
        /// part. Workings are detailed, which makes responses with thinking 5 to 10 times as long as short ones.
        case graded
    }

    /// How a working writes its steps.
    public enum WorkingDetail: Sendable {
        /// Each with its result alone: `7+9=6,6*3=8`.
        case brief
        /// Each with its result before and after it is taken modulo the modulus, behind a step that does this to a start
        /// of several digits: `417=7,7+9=16=6,6*3=18=8`.
        case detailed
    }

    /// One kind of problem.
    public struct Level: Sendable, Equatable {
        public var name: String
        public var operationCount: Int
        /// The number a chain begins with.
        public var start: ClosedRange<Int>
        public var zero: Zero
        /// Its share in the warm-up, relative to the other levels.
        public var warmUpWeight: Double
        /// Its share in reinforcement learning.
        public var learningWeight: Double

        public init(
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

    public var modulus = 10
    /// Operands of + and −.
    public var addends = 1...9
    /// Operands of ×; units modulo 10, so that no operation forgets what came before it.
    public var factors = [3, 7, 9]
    /// What a problem ends in; nothing that the working contains.
    public var ending = "?"
    public var workingDetail = WorkingDetail.brief
    /// The shares in reinforcement learning are such that, before anything is learned, what pulls towards thinking and
    /// what pulls away from it cancel; a lopsided mix makes all levels go one way first.
    public var levels = [
        Level("L1", operationCount: 1, start: 10...99, warmUpWeight: 2.5, learningWeight: 10),
        Level("L2", operationCount: 2, warmUpWeight: 1.5, learningWeight: 5),
        Level("L6", operationCount: 6, warmUpWeight: 3, learningWeight: 6),
        Level("D6", operationCount: 6, zero: .beforeLast, warmUpWeight: 2, learningWeight: 11),
    ]

    public init(_ kind: Kind = .basic) {
        guard kind == .graded else { return }
        workingDetail = .detailed
        levels = [
            Level("L1", operationCount: 1, start: 10000...99999, warmUpWeight: 5, learningWeight: 12),
            Level("L3", operationCount: 3, warmUpWeight: 1.5, learningWeight: 3),
            Level("L4", operationCount: 4, warmUpWeight: 3, learningWeight: 5),
            Level("D4", operationCount: 4, zero: .beforeLast, warmUpWeight: 2, learningWeight: 12),
            Level("M4", operationCount: 4, zero: .anywhere, warmUpWeight: 2, learningWeight: 5),
        ]
    }

    /// Every character that a problem or a response of the task can have, the line feed after the control token
    /// included: the vocabulary that `ckpt init` needs.
    public static let alphabet = "\n*+,-0123456789=?"

    /// How many different problems a level has; `Int.max` where that does not fit.
    public func problemCount(_ level: Level) -> Int {
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

    /// Which operation multiplies by 0.
    private func zeroPlace(_ level: Level, using generator: inout some RandomNumberGenerator) -> Int? {
        switch level.zero {
        case .none: nil
        case .beforeLast: max(0, level.operationCount - 2)
        case .anywhere: (0..<level.operationCount).randomElement(using: &generator)
        }
    }
}

extension EmbeddedTask {
    /// A problem with both of its responses.
    public struct Example: Sendable, Equatable {
        public var level: String
        /// Ends in `ending`.
        public var problem: String
        /// Every step, separated by commas.
        public var working: String
        public var answer: String

        /// As a row of a problem file.
        public func problem(id: String) -> Problem {
            Problem(id: id, problem: problem, answer: answer, level: level, source: "embedded")
        }

        /// As a row of a pair file.
        public func pair(id: String) -> Pair {
            Pair(
                id: id, problem: problem, think: .init(working: working, answer: answer), short: answer,
                answer: answer, level: level)
        }
    }

    /// One random example of a level.
    public func example(_ level: Level, using generator: inout some RandomNumberGenerator) -> Example {
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
            let (symbol, operand) = operation(isForgetting: index == zeroIndex, using: &generator)
            let result = apply(symbol, value, operand)
            // The first number stands as it is in the problem; what comes out of a step has the width of a value.
            let left = index == 0 && value == start ? String(start) : text(value)
            let whole = workingDetail == .detailed ? "=\(result)" : ""
            value = wrapped(result)
            steps.append("\(left)\(symbol)\(operand)\(whole)=\(text(value))")
            problem += "\(symbol)\(operand)"
        }
        return Example(
            level: level.name, problem: problem + ending, working: steps.joined(separator: ","), answer: text(value))
    }

    private func operation(
        isForgetting: Bool, using generator: inout some RandomNumberGenerator
    ) -> (symbol: Character, operand: Int) {
        if isForgetting { return ("*", 0) }
        let symbol = (["+", "-", "*"] as [Character]).randomElement(using: &generator) ?? "+"
        if symbol == "*", let factor = factors.randomElement(using: &generator) { return ("*", factor) }
        return (symbol, Int.random(in: addends, using: &generator))
    }

    private func apply(_ symbol: Character, _ value: Int, _ operand: Int) -> Int {
        symbol == "+" ? value + operand : symbol == "-" ? value - operand : value * operand
    }

    private func wrapped(_ value: Int) -> Int { (value % modulus + modulus) % modulus }

    /// A value with as many digits as the largest one.
    private func text(_ value: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, String(modulus - 1).count - digits.count)) + digits
    }
}
