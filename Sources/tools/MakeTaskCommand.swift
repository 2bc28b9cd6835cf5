import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop

struct MakeTaskCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "make-task",
        abstract: "Generate the embedded task: chains of operations in which thinking helps at some levels only.",
        discussion: """
            Examples:
              ckpt make-task -o task
              ckpt make-task -o hard --rl-mix L1=1,L2=1,L6=6,D6=1 --seed 2
              ckpt make-task -o graded --levels graded

            Writes train.jsonl (pairs for train-sft), rl.jsonl (problems for train-rl), dev-pairs.jsonl, dev.jsonl, \
            test.jsonl, probe.jsonl and task.json. Problems of dev, test and probe occur in no other split. A problem \
            is a chain modulo 10, evaluated from left to right: 7+9*3-8?. Levels L1, L2 and L6 have that many \
            operations; D6 is as long as L6 but multiplies by 0 in its second-to-last operation, so that a short \
            answer can be right. With --levels graded, the long levels have four operations, L1 is as long as L3, M4 \
            multiplies by 0 at a random place, so that a short answer is right on some of its problems, and workings \
            are more detailed. The answer is the last digit without a box: use --answer bare.
            """)

    @Option(name: [.short, .customLong("output")], help: "The folder for the files; created if missing.")
    var output: String

    @Flag(help: "Replace existing files.")
    var force = false

    @Option(help: "basic: L1, L2, L6 and D6; graded: L1, L3, L4, D4 and M4.")
    var levels = EmbeddedTask.LevelSet.basic

    @Option(help: "Seed of the problems.")
    var seed: UInt64 = 0

    @Option(help: "Number of pairs for the warm-up, over all levels.")
    var train = EmbeddedTaskSizes().trainPairs

    @Option(help: "Number of problems for reinforcement learning, over all levels.")
    var rl = EmbeddedTaskSizes().trainProblems

    @Option(help: "Number of development problems per level.")
    var dev = EmbeddedTaskSizes().dev

    @Option(help: "Number of test problems per level.")
    var test = EmbeddedTaskSizes().test

    @Option(help: "Number of probe prompts per level.")
    var probe = EmbeddedTaskSizes().probe

    @Option(help: "Relative shares of levels in the warm-up, like L1=2,L6=1; other levels keep their defaults.")
    var trainMix: LevelMix = LevelMix()

    @Option(help: "Relative shares of levels in reinforcement learning.")
    var rlMix: LevelMix = LevelMix()

    @Flag(help: "Print the parameters and counts as JSON.")
    var json = false

    func run() throws {
        var sizes = EmbeddedTaskSizes()
        (sizes.trainPairs, sizes.trainProblems, sizes.dev, sizes.test, sizes.probe) = (train, rl, dev, test, probe)
        sizes.pairWeights = trainMix.weights
        sizes.problemWeights = rlMix.weights
        try AtomicFile.refuseLink(at: output)
        for name in EmbeddedTaskData.fileNames {
            try OutputError.refuse(existing: output + "/" + name, replacing: force)
        }
        let data = try EmbeddedTaskData(EmbeddedTask(levels), sizes: sizes, seed: seed)
        TemporaryPaths.createFolder(output)
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        try data.write(to: output, overwrite: true)
        if json {
            print(json: data.report)
            return
        }
        print("level  different problems  test  distinct in train")
        for level in data.levels {
            let note = level.isSmallerThanTest ? "  fewer test problems than requested: the level has too few" : ""
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

extension EmbeddedTask.LevelSet: ExpressibleByArgument {}

/// Shares of levels on the command line: `L1=2,L6=0.5`.
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

    var defaultValueDescription: String { "the shares of the task" }
}
