import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Lengths beyond the model's positions (512) are refused with the remedies, unless `--allow-long` is given.
@Suite struct LengthTests {
    private func run(_ arguments: String..., in folder: TemporaryFolder) throws -> CommandResult {
        try Command.run(Command.ckptPath, arguments, in: folder)
    }

    private func prepared() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for name in ["tokens.h5", "sft", "task"] {
            try FileManager.default.copyItem(
                atPath: TinyRun.made.get().folder.path(name), toPath: folder.path(name))
        }
        return folder
    }

    private func expectRefusal(_ result: CommandResult, _ parts: String...) {
        #expect(result.status == 2, "\(result.errors)")
        let errors = result.errors.split(separator: "\n").filter { $0.hasPrefix("ckpt: error: ") }
        #expect(errors.count == 1, "\(result.errors)")
        for part in parts + ["512 positions", "rope_scaling", "--allow-long"] {
            #expect(errors.first?.contains(part) == true, "\(part): \(result.errors)")
        }
    }

    @Test func answers() throws {
        let folder = try prepared()
        let remedy = "rope_scaling={\"rope_type\":\"yarn\",\"factor\":4.0}"
        #expect(try run("config", "tokens.h5", "--set", remedy, "-o", "scaled.h5", in: folder).status == 0)
        let sources = [("generate", ["--prompt", "1+1="]), ("eval", ["--data", "task/dev.jsonl", "--limit", "2"])]
        for (command, source) in sources {
            func answer(_ model: String, _ flags: String...) throws -> CommandResult {
                try Command.run(Command.ckptPath, [command, model] + source + flags, in: folder)
            }
            expectRefusal(try answer("tokens.h5", "--max-new-tokens", "512"), "--max-new-tokens 512", "or less")
            let long = try answer("tokens.h5", "--max-new-tokens", "512", "--allow-long")
            #expect(long.status == 0 && long.errors.contains("exceed the model's 512 positions"), "\(long.errors)")
            // The remedy, and the default, which shrinks to what fits.
            for result in [try answer("scaled.h5", "--max-new-tokens", "512"), try answer("tokens.h5")] {
                #expect(result.status == 0 && !result.errors.contains("positions"), "\(result.errors)")
            }
        }
    }

    @Test func teachers() throws {
        let folder = try prepared()
        func distill(_ flags: String...) throws -> CommandResult {
            try Command.run(
                Command.ckptPath,
                ["distill", "task/dev.jsonl", "--limit", "1", "--think-teacher", "sft/step-000006.h5"] + flags,
                in: folder)
        }
        expectRefusal(try distill("-o", "a.jsonl", "--think-max-tokens", "512"), "--think-max-tokens")
        let long = try distill("-o", "b.jsonl", "--think-max-tokens", "512", "--allow-long", "--keep", "all")
        #expect(!long.errors.contains("--think-max-tokens must"), "\(long.errors)")
    }

    /// Pairs beyond the positions are left out, in a resumed run too, unless the run started with `--allow-long`.
    @Test func pairs() throws {
        let folder = try prepared()
        func train(_ flags: [String]) throws -> CommandResult {
            try Command.run(
                Command.ckptPath, ["train-sft"] + flags + ["--data", "long.jsonl", "--eval-problems", "0"], in: folder)
        }
        let working = String(repeating: "1+1=2,", count: 90)
        let lines = try String(contentsOfFile: folder.path("task/train.jsonl"), encoding: .utf8).split(separator: "\n")
        let long = "{\"id\": \"long\", \"problem\": \"1+1?\", \"think\": \"\(working)</think>2\", \"short\": \"2\"}"
        try folder.write((lines.prefix(12) + [long[...]]).joined(separator: "\n") + "\n", to: "long.jsonl")
        let start = ["tokens.h5", "--probe", "task/probe.jsonl", "--batch-pairs", "4", "--steps", "1"]
        expectRefusal(
            try train(start + ["-o", "refused", "--max-length", "600"]), "--max-length 600", "512 or less")
        for (run, flags, count, recorded) in [("left", [], 12, 512), ("kept", ["--allow-long"], 13, nil)] {
            let result = try train(start + ["-o", run] + flags)
            #expect(result.status == 0 && result.errors.contains("\(count) pairs to train on"), "\(result.errors)")
            #expect(result.errors.contains("1 pair is longer than the model's 512 positions"), "\(result.errors)")
            let state = try CheckpointFile(path: folder.path("\(run)/step-000001.h5")).metadata.trainingState
            #expect(try JSON.parse(try #require(state))["options"]?["positions"]?.int == recorded)
            let resumed = try train(["--resume", run, "--steps", "2"])
            #expect(resumed.status == 0 && resumed.errors.contains("\(count) pairs to train on"), "\(resumed.errors)")
        }
        // A state does not name positions that do not matter.
        let plain = try CheckpointFile(path: folder.path("sft/step-000006.h5")).metadata.trainingState
        #expect(try JSON.parse(try #require(plain))["options"]?["positions"] == nil)
    }
}

/// The cache of keys and values while a run samples.
@Suite struct CacheOptionTests {
    private static let flags = [
        "--data", "task/rl.jsonl", "--prompts", "4", "--samples", "4", "--max-new-tokens", "100", "--answer", "bare",
        "--alpha", "1", "--lr", "1e-3", "--save-every", "1", "--probe-every", "9", "--keep-last", "9",
        "--entropy-coefficient", "0.01", "--log-probabilities",
    ]

    private func train(_ run: String, _ flags: [String], in folder: TemporaryFolder) throws -> JSON {
        let result = try Command.run(
            Command.ckptPath, ["train-rl", "sft/step-000006.h5", "-o", run] + Self.flags + flags, in: folder)
        try #require(result.status == 0, "\(result.errors)")
        let state = try CheckpointFile(path: folder.path("\(run)/step-000001.h5")).metadata.trainingState
        return try JSON.parse(try #require(state))["options"] ?? .null
    }

    private func tokens(_ run: String, in folder: TemporaryFolder) throws -> [[Int]] {
        let log = try folder.names(in: "\(run)/rollouts").sorted().first ?? ""
        return try String(contentsOfFile: folder.path("\(run)/rollouts/\(log)"), encoding: .utf8)
            .split(separator: "\n").map { try JSON.parse(Array($0.utf8))["token_ids"]?.array?.compactMap(\.int) ?? [] }
    }

    /// A small cache gives the same tokens, and a resumed run gives the bits of an uninterrupted one.
    @Test(arguments: ["fp32", "bf16"]) func aSmallCache(_ precision: String) throws {
        let folder = try TemporaryFolder()
        for name in ["sft", "task"] {
            try FileManager.default.copyItem(
                atPath: TinyRun.made.get().folder.path(name), toPath: folder.path(name))
        }
        let format = precision == "bf16" ? ["--cache", "bf16"] : []
        let plain = try train("plain", format + ["--steps", "1"], in: folder)
        #expect(plain["cache_bytes"] == nil && plain["cache"]?.string == (precision == "bf16" ? "bf16" : nil))
        // 16 pages of 16 kB in float32.
        let small = format + ["--cache-size", precision == "bf16" ? "128KiB" : "256 KiB"]
        let options = try train("straight", small + ["--steps", "2"], in: folder)
        #expect(options["cache_bytes"]?.int == (precision == "bf16" ? 131_072 : 262_144))
        let all = try tokens("straight", in: folder)
        #expect(all == (try tokens("plain", in: folder)) && all.joined().count > 16 * 32)

        _ = try train("stopped", small + ["--steps", "1"], in: folder)
        let resumed = try Command.run(
            Command.ckptPath, ["train-rl", "--resume", "stopped", "--data", "task/rl.jsonl", "--steps", "2"],
            in: folder)
        #expect(resumed.status == 0, "\(resumed.errors)")
        let digests = try ["straight", "stopped"].map {
            try CheckpointFile(path: folder.path("\($0)/step-000002.h5")).digest
        }
        #expect(digests[0] == digests[1])
        #expect(digests[0] != (try CheckpointFile(path: folder.path("sft/step-000006.h5")).digest))
        let other = try Command.run(
            Command.ckptPath,
            ["train-rl", "--resume", "stopped", "--data", "task/rl.jsonl", "--steps", "3", "--cache-size", "1GiB"],
            in: folder)
        #expect(other.status == 2 && other.errors.contains("--cache-size 1073741824 differs"), "\(other.errors)")
    }

    @Test func sizes() throws {
        let folder = try TinyRun.made.get().folder
        func generate(_ size: String) throws -> CommandResult {
            try Command.run(
                Command.ckptPath,
                [
                    "generate", "tokens.h5", "--prompt", "1+1=", "--max-new-tokens", "40", "--samples", "9",
                    "--cache-size", size,
                ], in: folder)
        }
        let outputs = try ["8GiB", "100kB", "1"].map { try generate($0) }
        #expect(outputs.allSatisfy { $0.status == 0 } && Set(outputs.map(\.output)).count == 1)
        let wrong = try generate("much")
        #expect(wrong.status == 2 && wrong.errors.contains("give a size, like 8GiB"), "\(wrong.errors)")
    }
}
