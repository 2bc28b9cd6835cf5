import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

@Suite struct SFTCommandTests {
    private func prepared() throws -> TemporaryFolder {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        for name in ["tokens.h5", "task"] {
            try FileManager.default.copyItem(atPath: whole.path(name), toPath: folder.path(name))
        }
        return folder
    }

    private let small = ["--eval-problems", "2", "--eval-max-new-tokens", "4", "--batch-pairs", "4"]

    private func train(_ arguments: [String], in folder: TemporaryFolder) throws -> CommandResult {
        try Command.run(Command.ckptPath, ["train-sft", "tokens.h5"] + arguments, in: folder)
    }

    @Test func flagsFromAFile() throws {
        let folder = try prepared()
        try folder.write(
            """
            # options of the run
            data: task/train.jsonl
            output: from-file
            steps: 3
            lr: 1e-3
            freeze: [model.norm.weight, "*.layers.0.*"]
            eval-problems: 0
            force: true

            """, to: "run.yaml")
        let run = try train(["--config", "run.yaml", "--steps", "2"], in: folder)
        #expect(run.status == 0, "\(run.errors)")
        let file = try CheckpointFile(path: folder.path("from-file/step-000002.h5"))
        let options = try JSON.parse(try #require(file.metadata.trainingState))["options"]
        #expect(options?["steps"]?.int == 2 && options?["lr"]?.double == 1e-3)
        #expect(options?["freeze"]?.array?.compactMap(\.string) == ["model.norm.weight", "*.layers.0.*"])
        // The state records all options, including those that were not given.
        #expect(options?["weight_decay"]?.double == 0.1 && options?["train_rows"]?.string == "all")
        // The file contains force, so the run is replaced; a flag of the command line wins.
        let again = try train(["--config=run.yaml", "--freeze", "lm_head*", "--data", "task/dev.jsonl"], in: folder)
        #expect(again.status == 2 && again.errors.contains("task/dev.jsonl"), "\(again.errors)")
    }

    @Test(arguments: [
        ("learning-rate: 1", "run.yaml, line 1: \"learning-rate\" is not a flag of ckpt train-sft"),
        ("\nlr: [1, {a: 2}]", "run.yaml, line 2: \"lr\" must be a text, a number"), ("lr: ~", "line 1: \"lr\" must be"),
        ("force: 1", "line 1: \"force\" is a switch: true or false"), ("- lr", "must be a mapping of flags"),
        ("lr: 1\nlr: 2", "run.yaml: is not valid YAML"), ("lr: [", "run.yaml: is not valid YAML"),
        ("lr: much", "'much' is invalid for '--lr <lr>'; see ckpt help train-sft (flags of run.yaml included)"),
        ("config: other.yaml", "\"config\" is not a flag"), ("lr: -1", "--lr must be above 0"),
    ])
    func anInvalidFile(text: String, message: String) throws {
        let folder = try prepared()
        try folder.write(text, to: "run.yaml")
        let result = try train(["--config", "run.yaml", "--data", "task/train.jsonl", "-o", "run"], in: folder)
        #expect(result.status == 2)
        #expect(result.errors.contains(message), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder.path("run")))
    }

    @Test func aDryRunWritesNothing() throws {
        let folder = try prepared()
        let before = try folder.names()
        let result = try train(["--data", "task/train.jsonl", "--dry-run", "--epochs", "2"], in: folder)
        #expect(result.status == 0, "\(result.errors)")
        for text in ["memory, about", "disk, at most", "tokens of the run", "nothing was written"] {
            #expect(result.output.contains(text))
        }
        #expect(try folder.names() == before)
    }

    @Test func onlyTheControlRowsChange() throws {
        let folder = try prepared()
        let run = try train(
            ["--data", "task/train.jsonl", "-o", "run", "--steps", "3", "--lr", "1e-2", "--train-rows", "control"]
                + small, in: folder)
        #expect(run.status == 0, "\(run.errors)")
        let (tokens, warm) = (folder.path("tokens.h5"), folder.path("run/step-000003.h5"))
        #expect(try Self.changedRows(from: tokens, to: warm) == Self.controlRows(of: tokens))
        // The entropy bonus has a gradient whatever the rewards are.
        let rl = try Command.run(
            Command.ckptPath,
            [
                "train-rl", warm, "--data", "task/rl.jsonl", "-o", "rl", "--steps", "1", "--prompts", "2",
                "--samples", "2", "--max-new-tokens", "4", "--answer", "bare", "--entropy-coefficient", "1",
                "--lr", "1e-2", "--train-rows", "control",
            ], in: folder)
        #expect(rl.status == 0, "\(rl.errors)")
        let last = folder.path("rl/step-000001.h5")
        #expect(try Self.changedRows(from: warm, to: last) == Self.controlRows(of: tokens))
    }

    private static func controlRows(of path: String) throws -> Set<Int> {
        let tokenizer = try #require(try CheckpointFile(path: path).metadata.tokenizer)
        return Set([tokenizer.thinkID, tokenizer.thinkEndID, tokenizer.shortID].compactMap { $0 })
    }

    /// The rows of embedding and head that differ; fails if another tensor does.
    private static func changedRows(from old: String, to new: String) throws -> Set<Int> {
        let (before, after) = (try CheckpointFile(path: old), try CheckpointFile(path: new))
        var changed: Set<Int> = []
        for tensor in before.tensors() {
            let name = tensor.description.name
            guard after.tensor(name)?.sha256 != tensor.sha256 else { continue }
            #expect(["model.embed_tokens.weight", "lm_head.weight"].contains(name))
            let count = tensor.description.elementCount
            let columns = try #require(tensor.description.shape.last)
            let values = try [before, after].map { file in
                try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
                    try file.readFloat32(name, into: UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
                    initialized = count
                }
            }
            changed.formUnion((0..<count).filter { values[0][$0] != values[1][$0] }.map { $0 / columns })
        }
        return changed
    }

    /// The same pairs in every supported form train the same weights.
    @Test func everyFormOfTheData() throws {
        let folder = try prepared()
        let pairs = try String(contentsOfFile: folder.path("task/train.jsonl"), encoding: .utf8)
            .split(separator: "\n").prefix(24).map { try JSON.parse(Array($0.utf8)) }
        var forms: [String: [JSON]] = ["pairs": [], "thinkless": [], "completion": [], "turns": [], "messages": []]
        for pair in pairs {
            let problem = try #require(pair["problem"])
            forms["pairs"]?.append([
                "problem": problem, "think": pair["think"] ?? .null, "short": pair["short"] ?? .null,
            ])
            for mode in ["think", "short"] {
                let response = JSON.string("<\(mode)>\n" + (pair[mode]?.string ?? ""))
                let (user, assistant): (JSON, JSON) = (
                    ["role": "user", "content": problem], ["role": "assistant", "content": response]
                )
                forms["thinkless"]?.append(["instruction": problem, "output": response])
                forms["completion"]?.append(["prompt": problem, "completion": response])
                forms["turns"]?.append(["prompt": .array([user]), "completion": .array([assistant])])
                forms["messages"]?.append(["messages": .array([user, assistant])])
            }
        }
        var digests: Set<String> = []
        for (form, rows) in forms {
            try folder.write(rows.map { $0.serialized() + "\n" }.joined(), to: form + ".jsonl")
            let run = try train(
                ["--data", form + ".jsonl", "--probe", "task/probe.jsonl", "-o", form, "--steps", "2"] + small,
                in: folder)
            #expect(run.status == 0, "\(run.errors)")
            digests.insert(try CheckpointFile(path: folder.path(form + "/step-000002.h5")).digest)
        }
        #expect(digests.count == 1)
    }

    @Test func numbersThatAreNotFiniteStopTheRun() throws {
        let folder = try prepared()
        let run = try train(
            [
                "--data", "task/train.jsonl", "-o", "run", "--steps", "9", "--lr", "1e30", "--warmup", "0",
                "--control-lr-scale", "1", "--schedule", "constant",
            ] + small, in: folder)
        #expect(run.status == 2)
        let line = try #require(run.errors.split(separator: "\n").last)
        #expect(line.contains("is not finite at step") && line.contains("pair "), "\(line)")
        #expect(line.contains("model.") || line.contains("lm_head"), "\(line)")
        // The state before the failed update is saved, although it was not due.
        let states = try folder.names(in: "run").filter { $0.hasSuffix(".h5") }
        #expect(states.count == 1)
        for name in states {
            #expect(line.hasSuffix("the last good state is run/\(name)"), "\(line)")
            #expect(try CheckpointFile(path: folder.path("run/" + name)).verify().isEmpty)
        }
    }

    @Test func theVerdictNamesShortcomings() throws {
        let folder = try prepared()
        let run = try train(
            ["--data", "task/train.jsonl", "-o", "run", "--steps", "2", "--eval-every", "1"] + small, in: folder)
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.errors.contains("warning: not ready for RL: P(<think>) is"))
        #expect(run.errors.contains("the first token is not a control token in"))
        let history = try CheckpointFile(path: folder.path("run/step-000002.h5")).metadata.history["sft"]
        for name in ["eval_think_loss", "eval_short_loss", "p_think_mean", "p_short_mean", "eval_acc_think"] {
            #expect(history?[name]?.count == 2 && history?[name]?.allSatisfy(\.isFinite) == true, "\(name)")
        }
    }
}
