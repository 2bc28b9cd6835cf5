import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// The files of a tiny model that went through the whole pipeline once; many tests share them.
struct TinyRun {
    let folder: TemporaryFolder

    static let made = Result { try TinyRun() }

    private init() throws {
        folder = try TemporaryFolder()
        for arguments in Self.pipeline {
            let result = try Command.run(Command.ckptPath, arguments, in: folder)
            guard result.status == 0 else { throw CommandFailure(["ckpt"] + arguments, result) }
        }
    }

    /// A folder with the run's `tokens.h5`, and 60 rows of its task as `train.jsonl` and `rl.jsonl`.
    static func startFolder() throws -> TemporaryFolder {
        let whole = try made.get().folder
        let folder = try TemporaryFolder(inMemory: true)
        try FileManager.default.copyItem(atPath: whole.path("tokens.h5"), toPath: folder.path("tokens.h5"))
        for name in ["train", "rl"] {
            let lines = try String(contentsOfFile: whole.path("task/\(name).jsonl"), encoding: .utf8)
                .split(separator: "\n").prefix(60)
            try folder.write(lines.joined(separator: "\n") + "\n", to: name + ".jsonl")
        }
        return folder
    }

    static let sft = [
        "--steps", "6", "--batch-pairs", "8", "--lr", "3e-3", "--control-lr-scale", "1", "--save-every", "2",
        "--keep-last", "9",
    ]
    static let rl = [
        "--steps", "4", "--prompts", "4", "--samples", "4", "--max-new-tokens", "24", "--answer", "bare", "--alpha",
        "1",
        "--lr", "1e-3", "--save-every", "1", "--probe-every", "1", "--keep-last", "9",
    ]
    private static let pipeline: [[String]] = [
        ["make-task", "-o", "task", "--train", "200", "--test", "20", "--dev", "20"],
        ["init", "-o", "base.h5", "--hidden-size", "32", "--layers", "2", "--heads", "2", "--intermediate-size", "64"],
        [
            "init", "-o", "small.h5", "--hidden-size", "16", "--layers", "1", "--heads", "1", "--alphabet",
            "0123456789+",
        ],
        ["add-tokens", "base.h5", "-o", "tokens.h5", "--init", "normal"],
        ["train-sft", "tokens.h5", "--data", "task/train.jsonl", "-o", "sft"] + sft,
        ["train-rl", "sft/step-000006.h5", "--data", "task/rl.jsonl", "-o", "rl"] + rl,
    ]
}

@Suite struct PipelineTests {
    @Test func everyStateHasHistoryProbesAndLineage() throws {
        let folder = try TinyRun.made.get().folder
        for name in try folder.names(in: "rl") where name.hasSuffix(".h5") {
            #expect(try CheckpointFile(path: folder.path("rl/" + name)).verify().isEmpty)
        }
        let last = try CheckpointFile(path: folder.path("rl/step-000004.h5")).metadata
        #expect(last.history["sft"]?["step"] == [1, 2, 3, 4, 5, 6])
        #expect(last.history["rl"]?["step"] == [1, 2, 3, 4])
        #expect(last.probes.last?.steps == [0, 1, 2, 3, 4])
        #expect(
            last.lineage.compactMap { LineageEntry(text: $0)?.operation } == [
                "init", "add-tokens", "train-sft", "train-rl",
            ])
        let trained = last.tokenizer?.addedTokens.filter { ["<think>", "</think>", "<short>"].contains($0.content) }
        #expect(trained?.count == 3)
        #expect(trained?.allSatisfy(\.trained) == true)
    }

    @Test func stockToolsShowHistoryProbeAndLineageWithoutAPlugin() throws {
        let folder = try TinyRun.made.get().folder
        let tree = try Command.run("/usr/bin/h5ls", ["-r", "rl/step-000004.h5"], in: folder)
        for path in ["/config", "/history/rl/num_think", "/probe", "/lineage", "/weights/model/embed_tokens/weight"] {
            #expect(tree.output.contains(path))
        }
        let dump = try Command.run("/usr/bin/h5dump", ["-d", "/history/rl/num_think", "rl/step-000004.h5"], in: folder)
        #expect(dump.status == 0)
        #expect(dump.output.contains("SIMPLE { ( 4 )"))
        let story = try Command.run("/usr/bin/h5dump", ["-g", "/lineage", "rl/step-000004.h5"], in: folder)
        #expect(story.output.contains("train-rl"))
    }

    @Test func diffOfTwoStatesAndOfARun() throws {
        let folder = try TinyRun.made.get().folder
        let same = try Command.ckpt("diff", "rl/step-000004.h5", "rl/step-000004.h5", in: folder)
        #expect(same.status == 0)
        let moved = try Command.ckpt("diff", "sft/step-000002.h5", "sft/step-000006.h5", in: folder)
        #expect(moved.status == 1, "\(moved.errors)")
        #expect(moved.output.contains("<think>"))
        let curve = try Command.ckpt("diff", "rl", in: folder)
        #expect(curve.status <= 1, "\(curve.errors)")
    }

    @Test func generateNamesTheChosenMode() throws {
        let folder = try TinyRun.made.get().folder
        for mode in ["think", "short"] {
            let result = try Command.ckpt(
                "generate", "rl/step-000004.h5", "--prompt", "1+1=", "--mode", mode, "--max-new-tokens", "5", in: folder
            )
            #expect(result.status == 0)
            #expect(result.output.hasPrefix("<\(mode)>"))
            #expect(result.errors.contains("P(<think>)") && result.errors.contains("; 5 tokens, "))
        }
    }

    @Test func generateTakesABudgetAndHalfPrecisionWeights() throws {
        let folder = try TinyRun.made.get().folder
        func generate(_ flags: String...) throws -> CommandResult {
            let arguments = ["generate", "rl/step-000004.h5", "--prompt", "1+1=", "--mode", "think", "--seed", "3"]
            return try Command.run(Command.ckptPath, arguments + flags, in: folder)
        }
        let cut = try generate("--budget", "3", "--max-new-tokens", "12")
        // The control token and two other tokens precede the end of thinking.
        #expect(cut.output.hasPrefix("<think>") && cut.output.contains("</think>"), "\(cut.output)")
        #expect(cut.output.components(separatedBy: "</think>")[0].count <= "<think>".count + 2)
        #expect(cut.errors.contains("thinking ended by --budget"))
        let half = try generate("--weights", "bf16", "--max-new-tokens", "5", "--json")
        #expect(half.status == 0, "\(half.errors)")
        let whole = try generate("--max-new-tokens", "5", "--json")
        let probabilities = try [half, whole].map { try JSON.parse(Array($0.output.utf8))["p_think"]?.double ?? -1 }
        #expect(probabilities[0] != probabilities[1] && abs(probabilities[0] - probabilities[1]) < 0.02)
    }

    @Test func importRestoresAnExportedModel() throws {
        let folder = try TinyRun.made.get().folder
        let exported = try Command.ckpt("export", "rl/step-000004.h5", "-o", "exported", in: folder)
        #expect(exported.status == 0, "\(exported.errors)")
        #expect(try folder.names(in: "exported").contains("model.safetensors"))
        let imported = try Command.ckpt("import", "exported", "-o", "imported.h5", in: folder)
        #expect(imported.status == 0, "\(imported.errors)")
        let (before, after) = (
            try CheckpointFile(path: folder.path("rl/step-000004.h5")),
            try CheckpointFile(path: folder.path("imported.h5"))
        )
        #expect(before.tensors().map(\.sha256) == after.tensors().map(\.sha256))
    }
}

@Suite struct ResumeTests {
    /// A resumed run ends with the same bits as an uninterrupted one.
    @Test func resumedTrainingEndsWithTheSameDigest() throws {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        for name in ["tokens.h5", "task"] {
            try FileManager.default.copyItem(atPath: whole.path(name), toPath: folder.path(name))
        }
        try FileManager.default.createDirectory(atPath: folder.path("sft"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: whole.path("sft/step-000002.h5"), toPath: folder.path("sft/step-000002.h5"))
        let sft = try Command.ckpt("train-sft", "--resume", "sft", "--data", "task/train.jsonl", in: folder)
        #expect(sft.status == 0, "\(sft.errors)")
        try expectSameState(whole.path("sft/step-000006.h5"), folder.path("sft/step-000006.h5"))

        try FileManager.default.createDirectory(atPath: folder.path("rl"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: whole.path("rl/step-000001.h5"), toPath: folder.path("rl/step-000001.h5"))
        let rl = try Command.ckpt("train-rl", "--resume", "rl", "--data", "task/rl.jsonl", in: folder)
        #expect(rl.status == 0, "\(rl.errors)")
        try expectSameState(whole.path("rl/step-000004.h5"), folder.path("rl/step-000004.h5"))
    }

    private func expectSameState(_ left: String, _ right: String) throws {
        let (left, right) = (try CheckpointFile(path: left), try CheckpointFile(path: right))
        #expect(left.digest == right.digest)
        #expect(left.metadata.probes == right.metadata.probes)
        for (stage, history) in left.metadata.history {
            // Everything but times must be equal.
            for name in history.names where !name.hasPrefix("seconds_") && name != "tokens_per_second" {
                let (a, b) = (history[name] ?? [], right.metadata.history[stage]?[name] ?? [])
                #expect(a.map(\.bitPattern) == b.map(\.bitPattern), "\(stage) \(name)")
            }
        }
    }

    @Test func otherDataIsRefusedOnResume() throws {
        let whole = try TinyRun.made.get().folder
        let result = try Command.ckpt("train-sft", "--resume", "sft", "--data", "task/dev.jsonl", in: whole)
        #expect(result.status == 2)
        #expect(result.errors.split(separator: "\n").count == 1)
    }

    /// At whatever moment a run is killed, each file with a final name is complete.
    @Test func aKilledRunLeavesOnlyCompleteStates() throws {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        var killed = 0
        for attempt in 0..<12 {
            let process = Command.process(
                Command.ckptPath,
                [
                    "train-rl", whole.path("sft/step-000006.h5"), "--data", whole.path("task/rl.jsonl"), "-o",
                    "run\(attempt)",
                ]
                    + TinyRun.rl, in: folder)
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            usleep(UInt32(20_000 + attempt * 30_000))
            if process.isRunning { killed += 1 }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            let run = "run\(attempt)"
            guard FileManager.default.fileExists(atPath: folder.path(run)) else { continue }
            for name in try folder.names(in: run) where name.hasPrefix("step-") && name.hasSuffix(".h5") {
                #expect(try CheckpointFile(path: folder.path(run + "/" + name)).verify().isEmpty, "\(run)/\(name)")
            }
        }
        #expect(killed > 0)
    }
}
