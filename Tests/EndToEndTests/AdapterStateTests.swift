import CheckpointIO
import Foundation
import TestSupport
import Testing

/// `--save adapter`: states that keep the adapter alone and stand for the model.
@Suite struct AdapterStateTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TinyRun.startFolder()
    }

    private func run(_ arguments: String...) throws -> CommandResult {
        try Command.run(Command.ckptPath, arguments, in: folder)
    }

    private func warmUp(_ output: String, _ flags: String..., from start: String = "tokens.h5") throws -> CheckpointFile
    {
        let arguments = [
            "train-sft", start, "--data", "train.jsonl", "--batch-pairs", "3", "--lr", "1e-2", "--steps", "4",
            "--eval-problems", "0", "--warmup", "1", "--save-every", "2", "--lora", "r=4,targets=q+down", "-o", output,
        ]
        let result = try Command.run(Command.ckptPath, arguments + flags, in: folder)
        try #require(result.status == 0, "\(result.errors)")
        return try CheckpointFile(path: folder.path(output + "/step-000004.h5"))
    }

    private func reinforce(_ start: String, _ output: String, _ flags: String...) throws -> CheckpointFile {
        let arguments = [
            "train-rl", start, "--data", "rl.jsonl", "--steps", "1", "--prompts", "3", "--samples", "4",
            "--max-new-tokens", "8", "--answer", "bare", "--balance", "1", "--reward-short-wrong", "0.5",
            "--reward-think-wrong", "-0.5", "--lora", "r=2", "-o", output,
        ]
        let result = try Command.run(Command.ckptPath, arguments + flags, in: folder)
        try #require(result.status == 0, "\(result.errors)")
        return try CheckpointFile(path: folder.path(output + "/step-000001.h5"))
    }

    private func bytes(_ file: CheckpointFile, _ tensor: StoredTensor) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: tensor.description.byteCount)
        try bytes.withUnsafeMutableBytes { try file.read(tensor, into: $0) }
        return bytes
    }

    @Test(arguments: ["float32", "bfloat16"]) func standsForTheModel(type: String) throws {
        try #require(run("cast", "tokens.h5", "--dtype", type, "-o", "start.h5").status == 0)
        let whole = try warmUp("whole", from: "start.h5")
        let small = try warmUp("small", "--save", "adapter", from: "start.h5")
        #expect(small.weightsDigest == whole.weightsDigest && small.fileByteCount < whole.fileByteCount / 2)
        #expect(try small.verify().isEmpty)
        for group in TensorGroup.allCases {
            let names = whole.tensors(in: group).map(\.description)
            #expect(small.tensors(in: group).map(\.description) == names)
            for tensor in whole.tensors(in: group) {
                let own = try #require(small.tensor(tensor.description.name, in: group))
                #expect(own.sha256 == tensor.sha256, "\(tensor.path)")
                let expected = try bytes(whole, tensor)
                #expect(try bytes(small, own) == expected, "\(tensor.path)")
                // A range across rows.
                let range = expected.count / 3..<expected.count - expected.count / 5
                var part = [UInt8](repeating: 0, count: range.count)
                try part.withUnsafeMutableBytes { try small.read(own, range: range, into: $0) }
                #expect(part == Array(expected[range]), "\(tensor.path)")
            }
        }
        // The state before, which has become a plain model, keeps only the adapter too.
        let earlier = try CheckpointFile(path: folder.path("small/step-000002.h5"))
        #expect(earlier.metadata.kind == .model && earlier.metadata.adapter != nil)
        #expect(
            try earlier.weightsDigest == CheckpointFile(path: folder.path("whole/step-000002.h5")).weightsDigest)
    }

    @Test func commandsSeeTheModel() throws {
        _ = try warmUp("whole")
        _ = try warmUp("small", "--save", "adapter")
        for run in ["whole", "small"] {
            let state = run + "/step-000004.h5"
            try #require(self.run("export", state, "-o", run + "-folder").status == 0)
            try #require(self.run("export", "--adapter", state, "-o", run + "-peft").status == 0)
            try #require(self.run("strip", state, "-o", run + "-plain.h5").status == 0)
            try #require(self.run("config", state, "--set", "note=1", "-o", run + "-config.h5").status == 0)
        }
        for name in ["folder/model.safetensors", "peft/adapter_model.safetensors"] {
            let contents = try ["whole", "small"].map {
                try Data(contentsOf: URL(fileURLWithPath: folder.path($0 + "-" + name)))
            }
            #expect(contents[0] == contents[1], "\(name)")
        }
        for name in ["plain", "config"] {
            let files = try ["whole", "small"].map { try CheckpointFile(path: folder.path("\($0)-\(name).h5")) }
            #expect(files[0].digest == files[1].digest && files[1].metadata.adaptedWeights.isEmpty)
        }
        let comparison = try run("diff", "whole/step-000004.h5", "small/step-000004.h5")
        #expect(comparison.output.hasPrefix("SAME"), "\(comparison.output)")
        #expect(try run("inspect", "small/step-000004.h5").output.contains("computed from the base and the adapter"))
    }

    @Test func resumesToTheSameBits() throws {
        let whole = try warmUp("small", "--save", "adapter", "--keep-last", "2")
        let digest = whole.digest
        try FileManager.default.removeItem(atPath: folder.path("small/step-000004.h5"))
        let result = try run("train-sft", "--resume", "small", "--data", "train.jsonl")
        #expect(result.status == 0, "\(result.errors)")
        #expect(try CheckpointFile(path: folder.path("small/step-000004.h5")).digest == digest)
    }

    /// Reinforcement learning with adapters goes on from the weights that the warm-up's adapters made.
    @Test func nextStageStartsFromTheMergedWeights() throws {
        let warm = try warmUp("whole")
        _ = try warmUp("small", "--save", "adapter")
        // This learning rate changes no weight.
        let still = try reinforce("whole/step-000004.h5", "still", "--lr", "1e-30")
        #expect(still.weightsDigest == warm.weightsDigest)
        #expect(try CheckpointFile(path: folder.path("tokens.h5")).weightsDigest != warm.weightsDigest)
        let fromWhole = try reinforce("whole/step-000004.h5", "a", "--lr", "1e-2")
        let fromSmall = try reinforce("small/step-000004.h5", "b", "--lr", "1e-2", "--save", "adapter")
        #expect(fromWhole.weightsDigest == fromSmall.weightsDigest && fromWhole.weightsDigest != warm.weightsDigest)
        #expect(try fromSmall.verify().isEmpty)
    }

    @Test func baseIsFoundOrNamed() throws {
        let digest = try warmUp("small", "--save", "adapter").weightsDigest
        let files = FileManager.default
        let (base, state) = (folder.path("tokens.h5"), "small/step-000004.h5")
        try files.moveItem(atPath: base, toPath: folder.path("moved.h5"))
        for command in ["inspect", "verify"] {
            let missing = try run(command, state)
            #expect(missing.status == 2 && missing.errors.contains("which is not there"), "\(missing.errors)")
            #expect(missing.errors.contains("tokens.h5"))
        }
        try files.copyItem(atPath: folder.path(state), toPath: base)
        #expect(try run("inspect", state).errors.contains("tokens.h5"))
        try files.removeItem(atPath: base)
        try #require(run("cast", "moved.h5", "--dtype", "float16", "-o", "tokens.h5").status == 0)
        #expect(try run("inspect", state).errors.contains("has other weights"))
        // Beside the state.
        try files.copyItem(atPath: folder.path("moved.h5"), toPath: folder.path("small/tokens.h5"))
        #expect(try CheckpointFile(path: folder.path(state)).weightsDigest == digest)
    }

    @Test(arguments: [
        (["--save", "adapter"], "--lora"), (["--lora", "r=2", "--save", "all"], "complete"),
        (["--activations", "bf16"], "--recompute always"),
    ]) func refused(_ flags: [String], _ reason: String) throws {
        let arguments = ["train-sft", "tokens.h5", "--data", "train.jsonl", "--steps", "1", "-o", "no"] + flags
        let result = try Command.run(Command.ckptPath, arguments, in: folder)
        #expect(result.status == 2 && result.errors.contains(reason), "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder.path("no")))
    }
}
