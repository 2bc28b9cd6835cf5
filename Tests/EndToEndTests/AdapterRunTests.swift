import CheckpointIO
import Foundation
import TestSupport
import Testing

/// `--lora`: runs that train adapters and the control tokens' rows.
@Suite struct AdapterRunTests {
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
            "--eval-problems", "0", "--warmup", "1", "-o", output,
        ]
        let result = try Command.run(Command.ckptPath, arguments + flags, in: folder)
        try #require(result.status == 0, "\(result.errors)")
        return try CheckpointFile(path: folder.path(output + "/step-000004.h5"))
    }

    private func values(_ file: CheckpointFile, _ name: String, _ group: TensorGroup) throws -> [Float] {
        let tensor = try #require(file.tensor(name, in: group), "\(group.path)/\(name)")
        var values = [Float](repeating: 0, count: tensor.description.elementCount)
        try values.withUnsafeMutableBufferPointer { try file.readFloat32(name, in: group, into: $0) }
        return values
    }

    @Test(arguments: ["fp32", "bf16"]) func stateIsAPlainModelWithItsBase(type: String) throws {
        if type == "bf16" {
            try #require(run("cast", "tokens.h5", "--dtype", "bfloat16", "-o", "half.h5").status == 0)
        }
        let start = type == "bf16" ? "half.h5" : "tokens.h5"
        let base = try CheckpointFile(path: folder.path(start))
        let state = try warmUp("lora", "--lora", "r=4,alpha=6,targets=q+down,rslora", from: start)
        let record = try #require(state.metadata.adapter)
        #expect(record.rank == 4 && record.alpha == 6 && record.usesRankStabilizedScaling)
        #expect(record.targets == ["q_proj", "down_proj"] && record.baseDigest == base.weightsDigest)
        #expect(record.rows.count == 3)
        var moved = 0
        for tensor in state.tensors() {
            let name = tensor.description.name
            #expect(tensor.description.elementType == base.tensor(name)?.description.elementType)
            let (own, before) = (try values(state, name, .weights), try values(base, name, .weights))
            let columns = tensor.description.shape.last ?? 1
            if name.contains("q_proj.weight") || name.contains("down_proj.weight") {
                #expect(try values(state, name, .base) == before)
                let module = String(name.dropLast(".weight".count))
                let a = try values(state, AdapterRecord.name(of: .a, module: module), .adapter)
                let b = try values(state, AdapterRecord.name(of: .b, module: module), .adapter)
                for index in own.indices {
                    let (row, column) = index.quotientAndRemainder(dividingBy: columns)
                    let sum = (0..<4).reduce(Float(0)) { $0 + b[row * 4 + $1] * a[$1 * columns + column] }
                    let expected = before[index] + Float(record.scaling) * sum
                    #expect(abs(own[index] - expected) <= abs(expected) * (type == "bf16" ? 0.004 : 1e-5) + 1e-6)
                }
                moved += own == before ? 0 : 1
            } else if name == "model.embed_tokens.weight" {
                let rows = Set(own.indices.filter { own[$0] != before[$0] }.map { $0 / columns })
                #expect(!rows.isEmpty && rows.isSubset(of: record.rows))
            } else {
                #expect(own == before, "\(name)")
            }
        }
        #expect(moved > 0)
        let trained = Set(state.tensors(in: .adapter).map(\.description.name))
        #expect(Set(state.tensors(in: .optimizerM).map(\.description.name)) == trained)
        #expect(try run("verify", "lora/step-000004.h5").status == 0)
        #expect(try run("generate", "lora/step-000004.h5", "--prompt", "1+1=?", "--max-new-tokens", "3").status == 0)
    }

    @Test func exportedAdapterFitsItsBase() throws {
        let state = try warmUp("lora", "--lora", "r=4")
        try #require(run("export", "lora/step-000004.h5", "--adapter", "-o", "peft").status == 0)
        let result = try run("import", "tokens.h5", "--adapter", "peft", "-o", "merged.h5")
        try #require(result.status == 0, "\(result.errors)")
        let merged = try CheckpointFile(path: folder.path("merged.h5"))
        for tensor in state.tensors() {
            let name = tensor.description.name
            let (a, b) = (try values(state, name, .weights), try values(merged, name, .weights))
            #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-6 }, "\(name)")
        }
        let embedding = "model.embed_tokens.weight"
        #expect(try values(state, embedding, .weights) == values(merged, embedding, .weights))
    }

    @Test func resumedEqualsAtOnce() throws {
        for (name, lora) in [("a", "r=4,dropout=0.3"), ("b", "r=2,rows=none,targets=v+o+gate")] {
            let once = try warmUp(name, "--lora", lora)
            let flags = [
                "--data", "train.jsonl", "--batch-pairs", "3", "--lr", "1e-2", "--eval-problems", "0", "--warmup", "1",
                "--steps", "2", "--schedule-steps", "4", "--lora", lora, "-o", name + "-part",
            ]
            try #require(Command.run(Command.ckptPath, ["train-sft", "tokens.h5"] + flags, in: folder).status == 0)
            let result = try run("train-sft", "--resume", name + "-part", "--data", "train.jsonl", "--steps", "4")
            #expect(result.status == 0, "\(result.errors)")
            let resumed = try CheckpointFile(path: folder.path(name + "-part/step-000004.h5"))
            #expect(resumed.weightsDigest == once.weightsDigest)
            for group in TensorGroup.allCases {
                #expect(resumed.tensors(in: group).map(\.sha256) == once.tensors(in: group).map(\.sha256))
            }
        }
    }

    @Test func recomputationChangesNoBit() throws {
        for flags in [["--lora", "r=2"], ["--freeze", "model.layers.0.*"], []] {
            func weights(_ recompute: String) throws -> String {
                let arguments = [
                    "train-sft", "tokens.h5", "--data", "train.jsonl", "--batch-pairs", "3", "--lr", "1e-2", "--steps",
                    "3", "--eval-problems", "0", "-o", recompute, "--force", "--recompute", recompute,
                ]
                let result = try Command.run(Command.ckptPath, arguments + flags, in: folder)
                try #require(result.status == 0, "\(result.errors)")
                return try CheckpointFile(path: folder.path(recompute + "/step-000003.h5")).weightsDigest
            }
            let all = try ["auto", "always", "never"].map(weights)
            #expect(Set(all).count == 1)
        }
    }

    @Test func referenceIsTheBase() throws {
        _ = try warmUp("sft")
        let result = try run(
            "train-rl", "sft/step-000004.h5", "--data", "rl.jsonl", "--steps", "2", "--prompts", "3", "--samples", "4",
            "--max-new-tokens", "8", "--answer", "bare", "--lr", "1e-3", "--balance", "1", "--kl-coefficient", "0.1",
            "--reward-short-wrong", "0.5", "--reward-think-wrong", "-0.5",
            "--lora", "r=4", "-o", "rl")
        #expect(result.status == 0, "\(result.errors)")
        let state = try CheckpointFile(path: folder.path("rl/step-000002.h5"))
        let distances = try #require(state.metadata.history["rl"]?["kl_loss"])
        #expect(abs(distances[0]) < 1e-6 && distances[1] > 0)
        #expect(state.metadata.adapter != nil)
    }

    @Test(arguments: [
        (["--lora", "r=0"], "r is a number"), (["--lora", "r=4,targets=q+x"], "targets are some of"),
        (["--lora", "speed=4"], "the keys are"), (["--lora", "r=4", "--freeze", "*norm*"], "--freeze"),
        (["--lora", "r=4", "--train-rows", "control"], "--train-rows"),
    ]) func refused(_ flags: [String], _ reason: String) throws {
        let arguments = ["train-sft", "tokens.h5", "--data", "train.jsonl", "--steps", "1", "-o", "no"] + flags
        let result = try Command.run(Command.ckptPath, arguments, in: folder)
        #expect(result.status != 0 && result.errors.contains(reason), "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder.path("no")))
    }
}
