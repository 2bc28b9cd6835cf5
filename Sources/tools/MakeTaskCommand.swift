import ArgumentParser
import Foundation
import OrderedJSON
import TrainLoop

struct MakeTaskCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "make-task",
        abstract: "Make the embedded task: chains of operations on which thinking pays at some levels only.",
        discussion: """
            Examples:
              ckpt make-task -o task
              ckpt make-task -o hard --rl-mix L1=1,L2=1,L6=6,D6=1 --seed 2
              ckpt make-task -o graded --levels graded

            Writes train.jsonl (pairs for train-sft), rl.jsonl (problems for train-rl), dev-pairs.jsonl, dev.jsonl, \
            test.jsonl, probe.jsonl and task.json. No problem of dev, test or probe is in another split. A problem is \
            a chain modulo 10, worked from left to right: 7+9*3-8?. Levels L1, L2 and L6 have that many operations; \
            D6 is as long as L6 but multiplies by 0 just before its end, so that a short answer can be right. With \
            --levels graded the long ones have four operations, L1 is as long as L3, M4 multiplies by 0 at any place, so that \
            a short answer is right on some of its problems, and workings are more detailed. The answer is the bare last digit: use --answer bare.
            """)

    @Option(name: [.short, .customLong("output")], help: "The folder to write into; it is made.")
    var output: String

    @Flag(help: "Replace files that are there.")
    var force = false

    @Option(help: "basic: L1, L2, L6 and D6; graded: L1, L3, L4, D4 and M4.")
    var levels = EmbeddedTask.Kind.basic

    @Option(help: "Seed of the problems.")
    var seed: UInt64 = 0

    @Option(help: "Pairs for the warm-up, all levels together.")
    var train = EmbeddedTaskSizes().trainPairs

    @Option(help: "Problems for reinforcement learning, all levels together.")
    var rl = EmbeddedTaskSizes().trainProblems

    @Option(help: "Development problems of each level.")
    var dev = EmbeddedTaskSizes().dev

    @Option(help: "Test problems of each level.")
    var test = EmbeddedTaskSizes().test

    @Option(help: "Probe prompts of each level.")
    var probe = EmbeddedTaskSizes().probe

    @Option(help: "Shares of the levels in the warm-up, like L1=2,L6=1; other levels keep their own.")
    var trainMix: LevelMix = LevelMix()

    @Option(help: "Shares of the levels in reinforcement learning.")
    var rlMix: LevelMix = LevelMix()

    @Flag(help: "Print what was made as JSON.")
    var json = false

    func run() throws {
        var sizes = EmbeddedTaskSizes()
        (sizes.trainPairs, sizes.trainProblems, sizes.dev, sizes.test, sizes.probe) = (train, rl, dev, test, probe)
        sizes.pairWeights = trainMix.weights
        sizes.problemWeights = rlMix.weights
        if !force {
            for name in EmbeddedTaskData.fileNames where FileManager.default.fileExists(atPath: output + "/" + name) {
                throw OutputError.exists(output + "/" + name)
            }
        }
        let data = try EmbeddedTaskData(EmbeddedTask(levels), sizes: sizes, seed: seed)
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        try data.write(to: output, overwrite: true)
        if json {
            print(data.report.serialized(indent: 2))
            return
        }
        print("level  problems there are  test  distinct in train")
        for level in data.levels {
            let note = level.isSmallerThanTest ? "  fewer test problems than asked for: there are not enough" : ""
            print(
                Format.column(level.name, 5)
                    + Format.column(
                        level.problemCount == .max ? "over 10^18" : Format.grouped(level.problemCount), 20,
                        alignRight: true)
                    + Format.column(String(level.test), 6, alignRight: true)
                    + Format.column(String(level.distinctTrainProblems), 19, alignRight: true) + note)
        }
        let example = data.test.last { $0.level?.hasPrefix("L") ?? false }
        if let example, let think = example.think {
            print("\n\(example.problem)   think: \(think.text)   short: \(example.short ?? "")")
        }
        print("\nWrote \(EmbeddedTaskData.fileNames.joined(separator: ", ")) to \(output).")
    }
}

extension EmbeddedTask.Kind: ExpressibleByArgument {}

/// Shares of levels as they are written on the command line: `L1=2,L6=0.5`.
struct LevelMix: ExpressibleByArgument {
    var weights: [String: Double] = [:]

    init() {}

    init?(argument: String) {
        for part in argument.split(separator: ",") {
            let sides = part.split(separator: "=")
            guard sides.count == 2, let weight = Double(sides[1]) else { return nil }
            weights[String(sides[0])] = weight
        }
    }

    var defaultValueDescription: String { "the task's own" }
}
