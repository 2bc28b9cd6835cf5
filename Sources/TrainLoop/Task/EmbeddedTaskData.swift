import CheckpointIO
import OrderedJSON
import Parallel

/// The sizes of the splits of the embedded task.
package struct EmbeddedTaskSizes: Sendable, Equatable {
    /// Pairs for the warm-up, over all levels.
    package var trainPairs = 57_600
    /// Problems for reinforcement learning, over all levels.
    package var trainProblems = 8_000
    /// Problems per level.
    package var dev = 200
    /// Problems per level.
    package var test = 1_000
    /// Problems per level.
    package var probe = 10
    /// Relative shares in `trainPairs` that replace those of the levels.
    package var pairWeights: [String: Double] = [:]
    /// Relative shares in `trainProblems` that replace those of the levels.
    package var problemWeights: [String: Double] = [:]

    package init() {}
}

/// Why an embedded task cannot be generated.
package enum EmbeddedTaskError: Error, Equatable, CustomStringConvertible {
    case unknownLevel(String, known: [String])
    case badWeight(String)
    case countOutOfRange

    package var description: String {
        switch self {
        case .unknownLevel(let name, let known):
            "the embedded task has no level \"\(name)\"; its levels are \(known.joined(separator: ", "))"
        case .badWeight(let name):
            "the weight of level \"\(name)\" must be a finite number of at least 0, and some weight must be above 0"
        case .countOutOfRange: "counts of problems must be between 0 and 10000000"
        }
    }
}

/// The splits of the embedded task.
///
/// Test, dev and probe share no problem with each other or with training. Training repeats problems of levels that have
/// few.
package struct EmbeddedTaskData: Sendable, Equatable {
    package var task: EmbeddedTask
    package var seed: UInt64
    package var trainPairs: [Pair] = []
    package var trainProblems: [Problem] = []
    package var dev: [Pair] = []
    package var test: [Pair] = []
    package var probe: [Problem] = []
    package var levels: [LevelReport] = []

    /// The problem counts of one level.
    package struct LevelReport: Sendable, Equatable {
        package var name: String
        /// All different problems of the level.
        package var problemCount: Int
        /// Generated test problems.
        package var test: Int
        /// Whether the level has too few problems for the requested test size.
        package var isSmallerThanTest: Bool
        /// Different problems in `trainPairs`.
        package var distinctTrainProblems: Int
    }

    /// Generates the splits.
    ///
    /// At most three quarters of the problems of a level are held out, so that training keeps the rest. If more are
    /// requested, test, dev and probe shrink by the same factor.
    ///
    /// - Throws: `EmbeddedTaskError`.
    package init(_ task: EmbeddedTask = EmbeddedTask(), sizes: EmbeddedTaskSizes, seed: UInt64) throws {
        self.task = task
        self.seed = seed
        let counts = [sizes.trainPairs, sizes.trainProblems, sizes.dev, sizes.test, sizes.probe]
        guard counts.allSatisfy((0...10_000_000).contains) else { throw EmbeddedTaskError.countOutOfRange }
        let pairCounts = try Self.shares(of: sizes.trainPairs, task, \.warmUpWeight, sizes.pairWeights)
        let problemCounts = try Self.shares(of: sizes.trainProblems, task, \.learningWeight, sizes.problemWeights)

        var heldOut: Set<String> = []
        // The problems of a level depend on the seed and the level only, not on the size of other levels.
        var generators = task.levels.indices.map { SplitMix64(seed: seed &* 0x1_0000 &+ UInt64($0)) }
        var testCounts: [Int] = []
        // All held-out problems come first, because two levels may share a problem.
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
        // Mixed levels, so that the first rows of a file are a fair sample.
        var generator = SplitMix64(seed: seed &* 0x1_0000 &+ 0xFFFF)
        trainPairs.shuffle(using: &generator)
        trainProblems.shuffle(using: &generator)
    }

    /// Splits `total` among the levels by the largest-remainder method.
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

extension EmbeddedTaskData {
    /// The files written by `write`, in order.
    package static let fileNames = [
        "train.jsonl", "rl.jsonl", "dev-pairs.jsonl", "dev.jsonl", "test.jsonl", "probe.jsonl",
        "task.json",
    ]

    /// Writes the splits and `task.json` to an existing folder, all of them or none.
    ///
    /// - Throws: `CheckpointError`.
    package func write(to folder: String, overwrite: Bool) throws {
        let texts = [
            DataFile.text(of: trainPairs.lazy.map(\.json)), DataFile.text(of: trainProblems.lazy.map(\.json)),
            DataFile.text(of: dev.lazy.map(\.json)), DataFile.text(of: dev.lazy.map(\.asProblem.json)),
            DataFile.text(of: test.lazy.map(\.asProblem.json)), DataFile.text(of: probe.lazy.map(\.json)),
            report.serialized(indent: 2) + "\n",
        ]
        try AtomicFile.write(zip(Self.fileNames, texts).map { ("\(folder)/\($0)", $1) }, overwrite: overwrite)
    }

    /// The parameters and the generated counts.
    package var report: JSON {
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
