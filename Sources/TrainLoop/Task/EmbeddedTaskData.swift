import OrderedJSON
import Parallel

/// How much of the embedded task to make.
public struct EmbeddedTaskSizes: Sendable, Equatable {
    /// Pairs for the warm-up, all levels together.
    public var trainPairs = 57_600
    /// Problems for reinforcement learning, all levels together.
    public var trainProblems = 8_000
    /// Problems a level.
    public var dev = 200
    /// Problems a level.
    public var test = 1_000
    /// Problems a level.
    public var probe = 10
    /// Shares of levels in `trainPairs` that differ from the task's own.
    public var pairWeights: [String: Double] = [:]
    /// Shares of levels in `trainProblems` that differ from the task's own.
    public var problemWeights: [String: Double] = [:]

    public init() {}
}

/// Why an embedded task cannot be made.
public enum EmbeddedTaskError: Error, Equatable, CustomStringConvertible {
    case unknownLevel(String, known: [String])
    case badWeight(String)
    case negativeCount

    public var description: String {
        switch self {
        case .unknownLevel(let name, let known):
            "the embedded task has no level \"\(name)\"; its levels are \(known.joined(separator: ", "))"
        case .badWeight(let name): "the weight of level \"\(name)\" must be a finite number of at least 0, not all 0"
        case .negativeCount: "counts of problems must be between 0 and 10000000"
        }
    }
}

/// The splits of the embedded task. Test, dev and probe have no problem in common with each other or with training;
/// training repeats problems of levels that have few.
public struct EmbeddedTaskData: Sendable, Equatable {
    public var task: EmbeddedTask
    public var seed: UInt64
    public var trainPairs: [Pair] = []
    public var trainProblems: [Problem] = []
    public var dev: [Pair] = []
    public var test: [Pair] = []
    public var probe: [Problem] = []
    public var levels: [LevelReport] = []

    /// What one level came to.
    public struct LevelReport: Sendable, Equatable {
        public var name: String
        /// Different problems there are.
        public var problemCount: Int
        /// Test problems made.
        public var test: Int
        /// True if the level is so small that its test is smaller than asked for.
        public var isSmallerThanTest: Bool
        /// Different problems among `trainPairs`.
        public var distinctTrainProblems: Int
    }

    /// Three quarters of a level's problems at most are held out, so that training keeps the rest; where that is less
    /// than asked for, test, dev and probe shrink alike.
    ///
    /// - Throws: `EmbeddedTaskError`.
    public init(_ task: EmbeddedTask = EmbeddedTask(), sizes: EmbeddedTaskSizes, seed: UInt64) throws {
        self.task = task
        self.seed = seed
        let counts = [sizes.trainPairs, sizes.trainProblems, sizes.dev, sizes.test, sizes.probe]
        guard counts.allSatisfy((0...10_000_000).contains) else { throw EmbeddedTaskError.negativeCount }
        let pairCounts = try Self.shares(of: sizes.trainPairs, task, \.warmUpWeight, sizes.pairWeights)
        let problemCounts = try Self.shares(of: sizes.trainProblems, task, \.learningWeight, sizes.problemWeights)

        var heldOut: Set<String> = []
        // A level's problems depend on the seed and on the level alone, not on how many others were made.
        var generators = task.levels.indices.map { SplitMix64(seed: seed &* 0x1_0000 &+ UInt64($0)) }
        var testCounts: [Int] = []
        // Everything that is held out comes first: a problem of one level can be one of another level too.
        for (index, level) in task.levels.enumerated() {
            let space = task.problemCount(level)
            let room = space / 4 * 3
            let wanted = sizes.test + sizes.dev + sizes.probe
            func heldOutExamples(_ size: Int, _ split: String) -> [Pair] {
                let count = wanted <= room ? size : Int(Double(size) * Double(room) / Double(wanted))
                return (0..<count).map { number in
                    var example = task.example(level, using: &generators[index])
                    while !heldOut.insert(example.problem).inserted {
                        example = task.example(level, using: &generators[index])
                    }
                    return example.pair(id: "\(split)-\(level.name)-\(number)")
                }
            }
            let test = heldOutExamples(sizes.test, "test")
            self.test += test
            dev += heldOutExamples(sizes.dev, "dev")
            probe += heldOutExamples(sizes.probe, "probe").map(\.asProblem)
            testCounts.append(test.count)
        }
        for (index, level) in task.levels.enumerated() {
            func trainExample() -> EmbeddedTask.Example {
                var example = task.example(level, using: &generators[index])
                while heldOut.contains(example.problem) { example = task.example(level, using: &generators[index]) }
                return example
            }
            let pairs = (0..<pairCounts[index]).map { trainExample().pair(id: "train-\(level.name)-\($0)") }
            trainPairs += pairs
            trainProblems += (0..<problemCounts[index]).map { trainExample().problem(id: "rl-\(level.name)-\($0)") }
            levels.append(
                LevelReport(
                    name: level.name, problemCount: task.problemCount(level), test: testCounts[index],
                    isSmallerThanTest: testCounts[index] < sizes.test,
                    distinctTrainProblems: Set(pairs.map(\.problem)).count))
        }
        // Levels mixed, so that the first rows of a file are a fair sample of it.
        var generator = SplitMix64(seed: seed &* 0x1_0000 &+ 0xFFFF)
        trainPairs.shuffle(using: &generator)
        trainProblems.shuffle(using: &generator)
    }

    /// How many of `total` fall to each level, by the largest remainders.
    private static func shares(
        of total: Int, _ task: EmbeddedTask, _ own: (EmbeddedTask.Level) -> Double, _ weights: [String: Double]
    ) throws -> [Int] {
        let names = task.levels.map(\.name)
        for (name, weight) in weights.sorted(by: { $0.key < $1.key }) {
            guard names.contains(name) else { throw EmbeddedTaskError.unknownLevel(name, known: names) }
            guard weight >= 0, weight.isFinite else { throw EmbeddedTaskError.badWeight(name) }
        }
        let weightOf = task.levels.map { weights[$0.name] ?? own($0) }
        let sum = weightOf.reduce(0, +)
        guard sum > 0, sum.isFinite else { throw EmbeddedTaskError.badWeight(names.first ?? "") }
        let exact = weightOf.map { $0 / sum * Double(total) }
        var counts = exact.map { Int($0) }
        let byRemainder = exact.indices.sorted {
            let (left, right) = (exact[$0] - Double(counts[$0]), exact[$1] - Double(counts[$1]))
            return left == right ? $0 < $1 : left > right
        }
        for index in byRemainder.prefix(total - counts.reduce(0, +)) { counts[index] += 1 }
        return counts
    }
}

extension Pair {
    /// The problem alone.
    public var asProblem: Problem { Problem(id: id, problem: problem, answer: answer, level: level) }
}

extension EmbeddedTaskData {
    /// The names of the files that `write` makes, in order.
    public static let fileNames = [
        "train.jsonl", "rl.jsonl", "dev-pairs.jsonl", "dev.jsonl", "test.jsonl", "probe.jsonl",
        "task.json",
    ]

    /// Writes the splits and `task.json` into a folder that exists.
    ///
    /// - Throws: `DataFileError`.
    public func write(to folder: String, overwrite: Bool) throws {
        let prefix = folder + "/"
        try PairFile.write(trainPairs, to: prefix + "train.jsonl", overwrite: overwrite)
        try ProblemFile.write(trainProblems, to: prefix + "rl.jsonl", overwrite: overwrite)
        try PairFile.write(dev, to: prefix + "dev-pairs.jsonl", overwrite: overwrite)
        try ProblemFile.write(dev.map(\.asProblem), to: prefix + "dev.jsonl", overwrite: overwrite)
        try ProblemFile.write(test.map(\.asProblem), to: prefix + "test.jsonl", overwrite: overwrite)
        try ProblemFile.write(probe, to: prefix + "probe.jsonl", overwrite: overwrite)
        try DataFile.write(report.serialized(indent: 2) + "\n", to: prefix + "task.json", overwrite: overwrite)
    }

    /// What was made, and from which parameters.
    public var report: JSON {
        [
            "seed": .number(String(seed)), "modulus": .integer(task.modulus), "ending": .string(task.ending),
            "alphabet": .string(EmbeddedTask.alphabet), "answer": "bare",
            "train_pairs": .integer(trainPairs.count), "train_problems": .integer(trainProblems.count),
            "dev": .integer(dev.count), "test": .integer(test.count), "probe": .integer(probe.count),
            "levels": .array(
                zip(task.levels, levels).map { level, report in
                    [
                        "name": .string(level.name), "operations": .integer(level.operationCount),
                        "zero": .string(level.zero.rawValue), "problems": .integer(report.problemCount),
                        "warm_up_weight": .double(level.warmUpWeight),
                        "learning_weight": .double(level.learningWeight), "test": .integer(report.test),
                        "smaller_than_test": .bool(report.isSmallerThanTest),
                        "distinct_train_problems": .integer(report.distinctTrainProblems),
                    ]
                }),
        ]
    }
}
