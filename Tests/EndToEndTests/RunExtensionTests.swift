import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// `--resume RUN --steps N`: a run goes on beyond the steps that it was started with.
@Suite struct RunExtensionTests {
    private let whole: TemporaryFolder
    private let folder: TemporaryFolder

    init() throws {
        whole = try TinyRun.made.get().folder
        folder = try TemporaryFolder(inMemory: true)
        try FileManager.default.copyItem(atPath: whole.path("tokens.h5"), toPath: folder.path("tokens.h5"))
        try FileManager.default.copyItem(atPath: whole.path("sft/step-000006.h5"), toPath: folder.path("warm.h5"))
        for name in ["train", "rl"] {
            let lines = try String(contentsOfFile: whole.path("task/\(name).jsonl"), encoding: .utf8)
                .split(separator: "\n").prefix(60)
            try folder.write(lines.joined(separator: "\n") + "\n", to: name + ".jsonl")
        }
    }

    private static let stages = ["train-sft", "train-rl"]
    private static let options = [
        "train-sft": [
            "tokens.h5", "--data", "train.jsonl", "--batch-pairs", "3", "--lr", "3e-3", "--eval-problems", "2",
            "--eval-max-new-tokens", "4",
        ],
        // Wrong short answers pay more than wrong long ones, so that an untrained model can learn.
        "train-rl": [
            "warm.h5", "--data", "rl.jsonl", "--prompts", "3", "--samples", "4", "--max-new-tokens", "8", "--answer",
            "bare", "--lr", "1e-3", "--schedule", "linear", "--final-lr-share", "0.1", "--reward-short-wrong", "0.5",
            "--reward-think-wrong", "-0.5", "--balance", "1",
        ],
    ]

    private func start(_ stage: String, _ run: String, _ flags: String...) throws {
        let arguments = [stage] + (Self.options[stage] ?? []) + ["-o", run] + flags
        let result = try Command.run(Command.ckptPath, arguments, in: folder)
        try #require(result.status == 0, "\(result.errors)")
    }

    private func resume(_ stage: String, _ run: String, _ flags: String...) throws -> CommandResult {
        let data = stage == "train-sft" ? "train.jsonl" : "rl.jsonl"
        return try Command.run(Command.ckptPath, [stage, "--resume", run, "--data", data] + flags, in: folder)
    }

    private func state(_ run: String, _ step: Int) throws -> CheckpointFile {
        try CheckpointFile(path: folder.path("\(run)/step-00000\(step).h5"))
    }

    @Test(arguments: stages) func extendedEqualsAtOnce(stage: String) throws {
        try start(stage, "once", "--steps", "8")
        try start(stage, "part", "--steps", "4", "--schedule-steps", "8")
        let first = try state("part", 4)
        let result = try resume(stage, "part", "--steps", "8")
        #expect(result.status == 0, "\(result.errors)")
        #expect(
            result.errors.contains(
                "the run now ends at step 8 instead of 4; the learning rate keeps its schedule, which ends at step 8\n"),
            "\(result.errors)")
        let (once, extended) = (try state("once", 8), try state("part", 8))
        #expect(extended.digest == once.digest && extended.weightsDigest != first.weightsDigest)
        let key = stage == "train-sft" ? "sft" : "rl"
        for name in ["step", "loss", "grad_norm", "lr"] {
            let (a, b) = (once.metadata.history[key]?[name] ?? [], extended.metadata.history[key]?[name] ?? [])
            #expect(a.count == 8 && a.map(\.bitPattern) == b.map(\.bitPattern), "\(name)")
        }
        // State and lineage have the new length, and the run goes on without the flag.
        let stored = try JSON.parse(extended.metadata.trainingState ?? "")
        #expect(stored["options"]?["steps"]?.int == 8 && stored["options"]?["schedule_steps"]?.int == 8)
        let entry = try #require(extended.metadata.lineage.last.flatMap { LineageEntry(text: $0) })
        #expect(entry.operation == stage && entry.parent == first.digest && entry.arguments["steps"]?.int == 8)
        #expect(entry.report["step"]?.int == 4 && entry.report["steps_before"]?.int == 4)
        let again = try resume(stage, "part")
        #expect(again.status == 0 && again.output == "part/step-000008.h5\n")
        #expect(again.errors.contains("the run has made all of its steps; --steps N above 8 extends it\n"))
        // A run without the flag records nothing about it.
        #expect(try JSON.parse(once.metadata.trainingState ?? "")["options"]?["schedule_steps"] == nil)
    }

    @Test func theScheduleMovesOrStays() throws {
        func rates(_ run: String) throws -> [Double] {
            try (state(run, 4).metadata.history["rl"]?["lr"] ?? []).map { ($0 * 1e6).rounded() / 1e6 }
        }
        try start("train-rl", "moved", "--steps", "2")
        let moved = try resume("train-rl", "moved", "--steps", "4")
        #expect(
            moved.errors.contains(
                "the run now ends at step 4 instead of 2; the learning rate follows a schedule that ends there "
                    + "(--schedule-steps 2 keeps the old end)\n"), "\(moved.errors)")
        // Linear from 1e-3 to 1e-4: of two steps, then of four.
        #expect(try rates("moved") == [1e-3, 5.5e-4, 5.5e-4, 3.25e-4])
        try start("train-rl", "kept", "--steps", "2")
        let kept = try resume("train-rl", "kept", "--steps", "4", "--schedule-steps", "2")
        #expect(kept.errors.contains("keeps its schedule, which ends at step 2\n"), "\(kept.errors)")
        #expect(try rates("kept") == [1e-3, 5.5e-4, 1e-4, 1e-4])
    }

    @Test func aConstantRateNeedsNoSchedule() throws {
        try start("train-rl", "once", "--steps", "4", "--schedule", "constant")
        try start("train-rl", "part", "--steps", "2", "--schedule", "constant")
        let result = try resume("train-rl", "part", "--steps", "4")
        #expect(result.errors.contains("the learning rate is constant after its warm-up\n"), "\(result.errors)")
        #expect(try state("part", 4).digest == state("once", 4).digest)
    }

    @Test func onlyTheLengthMayChange() throws {
        try start("train-rl", "run", "--steps", "2")
        for (flags, reason) in [
            (["--steps", "1"], "--steps 1 does not extend the run, which has made 2 steps; give a larger number"),
            (["--steps", "4", "--lr", "1e-4"], "--lr 0.0001 differs from the run's 0.001"),
            (["--steps", "4", "--warmup", "1"], "--warmup 1 differs from the run's 0"),
            (["--schedule-steps", "9"], "--schedule-steps 9 differs from the run's"),
        ] {
            let result = try Command.run(
                Command.ckptPath, ["train-rl", "--resume", "run", "--data", "rl.jsonl"] + flags, in: folder)
            #expect(result.status == 2, "\(flags)")
            #expect(
                result.errors.hasPrefix("ckpt: error: " + reason) && result.errors.split(separator: "\n").count == 1,
                "\(flags): \(result.errors)")
        }
        #expect(try folder.names(in: "run").filter { $0.hasSuffix(".h5") }.max() == "step-000002.h5")
    }

    @Test func whatIsNoRunIsSaidPlainly() throws {
        try FileManager.default.createDirectory(atPath: folder.path("other"), withIntermediateDirectories: true)
        for stage in Self.stages {
            let result = try resume(stage, "other")
            #expect(result.status == 2)
            #expect(
                result.errors
                    == "ckpt: error: other: is not the folder of a run: it has no step-*.h5; give --resume the folder that "
                    + "was -o\n")
        }
        try start("train-sft", "sft", "--steps", "1")
        let other = try resume("train-rl", "sft", "--steps", "4")
        #expect(
            other.errors
                == "ckpt: error: sft: this is a run of train-sft; resume it with ckpt train-sft --resume sft\n")
    }

    /// The newest state is checked while it is loaded, and not before.
    @Test func theNewestStateIsReadOnce() throws {
        for arguments in [
            ["init", "-o", "base.h5", "--hidden-size", "256", "--layers", "4", "--heads", "4"],
            ["add-tokens", "base.h5", "-o", "wide.h5", "--init", "normal", "--report", "fast"],
            ["train-sft", "wide.h5", "--data", "train.jsonl", "-o", "run", "--steps", "1", "--eval-problems", "0"],
        ] {
            let result = try Command.run(Command.ckptPath, arguments, in: folder)
            try #require(result.status == 0, "\(result.errors)")
        }
        // A shell counts the bytes that its children have read.
        let result = try Command.run(
            "/bin/sh",
            ["-c", "\(Command.ckptPath) train-sft --resume run --data train.jsonl && cat /proc/$$/io"], in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let line = try #require(result.output.split(separator: "\n").first { $0.hasPrefix("rchar: ") })
        let size = try Data(contentsOf: folder.url.appending(path: "run/step-000001.h5")).count
        let read = try #require(Double(line.dropFirst(7)))
        #expect(size > 8 << 20 && read < 1.5 * Double(size), "\(read) bytes read of a file of \(size)")
    }
}
