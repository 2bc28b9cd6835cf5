import Foundation
import OrderedJSON
import Parallel
import TestSupport
import Testing
import TrainLoop

@Suite struct EmbeddedTaskTests {
    private static let sizes: EmbeddedTaskSizes = {
        var sizes = EmbeddedTaskSizes()
        (sizes.trainPairs, sizes.trainProblems, sizes.dev, sizes.test, sizes.probe) = (600, 300, 40, 100, 8)
        return sizes
    }()

    /// Solves a problem from its text only, independently of the generator.
    private func solve(_ problem: String, detailed: Bool = false) throws -> (working: String, answer: String) {
        var rest = try #require(problem.hasSuffix("?") ? problem.dropLast()[...] : nil)
        func number() -> Int {
            let digits = rest.prefix(while: \.isNumber)
            rest = rest.dropFirst(digits.count)
            return Int(digits) ?? -1
        }
        var value = number()
        var steps: [String] = []
        if detailed, value > 9 {
            steps.append("\(value)=\(value % 10)")
            value %= 10
        }
        while let symbol = rest.popFirst() {
            let operand = number()
            let result = symbol == "+" ? value + operand : symbol == "-" ? value - operand : value * operand
            let wrapped = ((result % 10) + 10) % 10
            steps.append("\(value)\(symbol)\(operand)\(detailed ? "=\(result)" : "")=\(wrapped)")
            value = wrapped
        }
        return (steps.joined(separator: ","), String(value))
    }

    @Test func everyExampleIsRight() throws {
        let data = try EmbeddedTaskData(sizes: Self.sizes, seed: 1)
        for pair in data.trainPairs + data.dev + data.test {
            let solution = try solve(pair.problem)
            #expect(pair.think == .init(working: solution.working, answer: solution.answer))
            #expect(pair.short == solution.answer && pair.answer == solution.answer)
            let text = pair.problem + pair.think!.text.replacingOccurrences(of: "</think>", with: "") + "\n"
            #expect(text.allSatisfy(EmbeddedTask.alphabet.contains))
        }
    }

    @Test func splitsAreDisjoint() throws {
        let data = try EmbeddedTaskData(sizes: Self.sizes, seed: 1)
        let test = data.test.map(\.problem)
        let dev = data.dev.map(\.problem)
        let probe = data.probe.map(\.problem)
        let heldOut = Set(test + dev + probe)
        #expect(heldOut.count == test.count + dev.count + probe.count)
        #expect(heldOut.isDisjoint(with: data.trainPairs.map(\.problem)))
        #expect(heldOut.isDisjoint(with: data.trainProblems.map(\.problem)))
        #expect(test.count == 400 && dev.count == 160 && probe.count == 32)
        #expect(Set(data.trainPairs.map(\.id)).count == 600)
    }

    @Test func decoysMultiplyBy0AtTheLengthOfTheHardLevel() throws {
        let data = try EmbeddedTaskData(sizes: Self.sizes, seed: 2)
        func lengths(_ level: String) -> Set<Int> {
            Set(data.test.filter { $0.level == level }.map(\.problem.count))
        }
        #expect(lengths("D6") == lengths("L6") && lengths("L6") == [14])
        for pair in data.test where pair.level!.hasPrefix("D") {
            #expect(Array(pair.problem)[pair.problem.count - 5] == "*")
            #expect(Array(pair.problem)[pair.problem.count - 4] == "0")
        }
        for pair in data.test where pair.level!.hasPrefix("L") { #expect(!pair.problem.contains("*0")) }
    }

    /// M4 multiplies by 0 once, at any place, and shares problems with D4, but no two splits may share one.
    @Test func mixedLevelMultipliesBy0Anywhere() throws {
        let data = try EmbeddedTaskData(EmbeddedTask(.graded), sizes: Self.sizes, seed: 2)
        let mixed = data.test.filter { $0.level == "M4" }.map(\.problem)
        #expect(mixed.count == 100 && Set(mixed.map(\.count)) == [10])
        let places = mixed.map { $0.distance(from: $0.startIndex, to: $0.range(of: "*0")!.lowerBound) }
        #expect(Set(places) == [1, 3, 5, 7])
        #expect(mixed.allSatisfy { $0.components(separatedBy: "*0").count == 2 })
        for pair in data.trainPairs + data.test {
            let solution = try solve(pair.problem, detailed: true)
            #expect(pair.think == .init(working: solution.working, answer: solution.answer))
            #expect(pair.short == solution.answer)
        }
        let lengths = Dictionary(grouping: data.test, by: { $0.level! }).mapValues { Set($0.map(\.problem.count)) }
        #expect(lengths == ["L1": [8], "L3": [8], "L4": [10], "D4": [10], "M4": [10]])

        // A task so small that both levels often give the same problem.
        var small = EmbeddedTask()
        small.addends = 1...2
        small.levels = [
            .init("D2", operationCount: 2, zero: .beforeLast), .init("M2", operationCount: 2, zero: .anywhere),
        ]
        var sizes = Self.sizes
        (sizes.test, sizes.dev, sizes.probe) = (20, 8, 2)
        let tiny = try EmbeddedTaskData(small, sizes: sizes, seed: 1)
        let heldOut = (tiny.test + tiny.dev).map(\.problem) + tiny.probe.map(\.problem)
        #expect(Set(heldOut).count == 60)
        #expect(Set(heldOut).isDisjoint(with: tiny.trainPairs.map(\.problem)))
    }

    @Test func weightsAndSeedsApply() throws {
        var sizes = Self.sizes
        sizes.trainProblems = 320
        func counts() throws -> [String: Int] {
            let problems = try EmbeddedTaskData(sizes: sizes, seed: 3).trainProblems
            return Dictionary(grouping: problems, by: { $0.level! }).mapValues(\.count)
        }
        #expect(try counts() == ["L1": 100, "L2": 50, "L6": 60, "D6": 110])
        sizes.problemWeights = ["L1": 1, "L2": 1, "L6": 1, "D6": 0]
        #expect(try counts() == ["L1": 107, "L2": 107, "L6": 106])
        let data = try EmbeddedTaskData(sizes: sizes, seed: 3)
        #expect(try EmbeddedTaskData(sizes: sizes, seed: 3) == data)
        #expect(try EmbeddedTaskData(sizes: sizes, seed: 4).test != data.test)
        // The test split does not depend on the size of the training data.
        sizes.trainPairs = 10
        #expect(try EmbeddedTaskData(sizes: sizes, seed: 3).test == data.test)

        sizes.problemWeights = ["L9": 1]
        #expect(throws: EmbeddedTaskError.unknownLevel("L9", known: ["L1", "L2", "L6", "D6"])) {
            try EmbeddedTaskData(sizes: sizes, seed: 3)
        }
        sizes.problemWeights = ["L1": -1]
        #expect(throws: EmbeddedTaskError.badWeight("L1")) { try EmbeddedTaskData(sizes: sizes, seed: 3) }
    }

    /// A level with too few problems keeps some of them for training and is marked.
    @Test func smallLevelsAreMarked() throws {
        var task = EmbeddedTask()
        task.levels = [.init("tiny", operationCount: 1, start: 1...2)]
        #expect(task.problemCount(task.levels[0]) == 2 * 21)
        let data = try EmbeddedTaskData(task, sizes: Self.sizes, seed: 1)
        #expect(data.test.count == 20 && data.dev.count == 8 && data.probe.count == 1)
        #expect(data.levels[0].isSmallerThanTest && data.levels[0].distinctTrainProblems == 13)
        #expect(data.trainPairs.count == 600)
        let decoy = EmbeddedTask.Level("D", operationCount: 40, zero: .beforeLast)
        #expect(task.problemCount(decoy) == .max)
        let mixed = EmbeddedTask.Level("M", operationCount: 2, zero: .anywhere)
        #expect(task.problemCount(mixed) == 9 * 2 * 21)
    }

    @Test func twoDigitValues() {
        var task = EmbeddedTask()
        task.modulus = 100
        var generator = SplitMix64(seed: 5)
        let level = EmbeddedTask.Level("L2", operationCount: 2, start: 10...99)
        for _ in 0..<50 {
            let example = task.example(level, using: &generator)
            #expect(example.answer.count == 2)
            #expect(example.working.split(separator: "=").count == 3)
        }
    }

    @Test func filesAreReadBack() throws {
        let folder = try TemporaryFolder()
        let data = try EmbeddedTaskData(sizes: Self.sizes, seed: 1)
        try data.write(to: folder.url.path, overwrite: false)
        #expect(try PairFile.read(path: folder.path("train.jsonl")) == data.trainPairs)
        #expect(try ProblemFile.read(path: folder.path("rl.jsonl")) == data.trainProblems)
        #expect(try PairFile.read(path: folder.path("dev-pairs.jsonl")) == data.dev)
        #expect(try ProblemFile.read(path: folder.path("test.jsonl")) == data.test.map(\.asProblem))
        let report = try JSON.parse(String(contentsOfFile: folder.path("task.json"), encoding: .utf8))
        #expect(report["levels"]?.array?.count == 4 && report["seed"]?.int == 1)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
        #expect(names.sorted() == EmbeddedTaskData.fileNames.sorted())
    }
}
