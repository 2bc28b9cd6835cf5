import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Files written by ckpt 0.1.0 (Fixtures/make_version_1.sh) open, verify and have the values that were written.
@Suite struct CommittedCheckpointTests {
    private func open(_ name: String) throws -> CheckpointFile {
        try CheckpointFile(path: "\(HostileFileTests.fixtures)/version-1-\(name).h5")
    }

    private func floats(_ file: CheckpointFile, _ name: String, in group: TensorGroup = .weights) throws -> [Float] {
        let count = try #require(file.tensor(name, in: group)).description.elementCount
        var values = [Float](repeating: 0, count: count)
        try values.withUnsafeMutableBufferPointer { try file.readFloat32(name, in: group, into: $0) }
        return values
    }

    @Test func trainingCheckpointVerifies() throws {
        let file = try open("training")
        #expect(file.metadata.kind == .training)
        #expect(file.metadata.step == 2)
        #expect(file.metadata.createdBy == "ckpt 0.1.0")
        #expect(file.digest == "c7d40a1de4d8a90286bb755cad5d4706fd27468c8c1879a8178ac968aedaec75")
        #expect(file.weightsDigest == "618274f45735cddeacf057ce22ee0bda5f8c33c0629a9f59a12f3ccf0d2582d5")
        #expect(try file.verify().isEmpty)
    }

    @Test func tensorsHaveTheirValues() throws {
        let file = try open("training")
        #expect(
            file.tensors().map(\.description.name) == [
                "model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
                "model.layers.0.mlp.down_proj.weight", "model.layers.0.mlp.gate_proj.weight",
                "model.layers.0.mlp.up_proj.weight", "model.layers.0.post_attention_layernorm.weight",
                "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.o_proj.weight",
                "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.v_proj.weight", "model.norm.weight",
            ])
        #expect(file.tensor("model.embed_tokens.weight")?.description.shape == [28, 16])
        #expect(file.tensors().allSatisfy { $0.description.elementType == .float32 })
        let norm = try floats(file, "model.norm.weight")
        #expect(norm.prefix(4) == [1.00010562, 1.00009465, 1.00010622, 1.00010872])
        #expect(file.metadata.tiedTensors == ["lm_head.weight": "model.embed_tokens.weight"])
        for group in [TensorGroup.optimizerM, .optimizerV] {
            #expect(file.tensors(in: group).map(\.description.name) == file.tensors().map(\.description.name))
        }
        #expect(
            file.tensor("model.norm.weight", in: .optimizerM)?.sha256
                == "a742a326a9f9f87a704e28fc0931fd303b4e728db037c511e774f0dddba5ef05")
        #expect(file.metadata.optimizer == OptimizerRecord(step: 2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8))
    }

    @Test func tokenizerHasItsControlTokens() throws {
        let tokenizer = try #require(try open("training").metadata.tokenizer)
        #expect(tokenizer.json.count == 1739)
        #expect((tokenizer.thinkID, tokenizer.thinkEndID, tokenizer.shortID) == (25, 26, 27))
        #expect(
            tokenizer.addedTokens == [
                AddedTokenRecord(id: 24, content: "<|end|>", special: true, trained: false),
                AddedTokenRecord(id: 25, content: "<think>", special: false, trained: true),
                AddedTokenRecord(id: 26, content: "</think>", special: false, trained: true),
                AddedTokenRecord(id: 27, content: "<short>", special: false, trained: true),
            ])
    }

    @Test func historyAndProbeHaveTheirValues() throws {
        let metadata = try open("training").metadata
        #expect(Array(metadata.history.keys) == ["sft"])
        let history = try #require(metadata.history["sft"])
        #expect(
            history.names == [
                "step", "loss", "control_loss", "think_loss", "short_loss", "grad_norm", "lr", "response_tokens",
                "tokens", "tokens_per_second", "p_think_mean", "p_short_mean", "eval_acc_think", "eval_tokens_think",
                "eval_formed_think", "eval_acc_short", "eval_tokens_short", "eval_formed_short",
            ])
        #expect(history["step"] == [1, 2])
        #expect(history["loss"] == [3.3194589130580425, 3.3240130953490734])
        let probe = try #require(metadata.probes.first)
        #expect(metadata.probes.count == 1)
        #expect(probe.prompts == ["7+7", "8+8", "9+9"])
        #expect(probe.levels == ["1", "0", "1"])
        #expect(probe.steps == [0, 1, 2])
        #expect(
            probe.pThink == [
                [0.03861724852077001, 0.034380527234706797, 0.034752515539784513],
                [0.03850159077125484, 0.034244073765206016, 0.034773958594153241],
                [0.038489915562749166, 0.034235991898220366, 0.034781481513196447],
            ])
        #expect(probe.pShort.map(\.count) == [3, 3, 3])
    }

    @Test func lineageAndTrainingStateAreReadable() throws {
        let metadata = try open("training").metadata
        let lineage = try metadata.lineage.map { try #require(LineageEntry(text: $0)) }
        #expect(lineage.map(\.operation) == ["init", "add-tokens", "train-sft"])
        #expect(lineage[0].parent == nil)
        #expect(lineage[1].parent == "462500f5683d0557dc6f42e0fac7a69f320bbc3efa7f1896f9afd14f6ad661cd")
        #expect(lineage[0].arguments["hidden_size"] == 16)
        let state = try JSON.parse(try #require(metadata.trainingState))
        #expect(state["command"] == "train-sft")
        #expect(state["parent"]?.string == lineage[2].parent)
    }

    /// A tensor in an entropy-coded chunk with raw planes.
    @Test func compressedTensorHasItsValues() throws {
        let file = try open("chunked")
        let tensor = try #require(file.tensor("model.embed_tokens.weight"))
        #expect(tensor.description.elementType == .bfloat16)
        #expect(tensor.description.shape == [257, 66])
        #expect(tensor.chunkCount == 1)
        #expect(tensor.storedByteCount == 22_774)
        #expect(tensor.sha256 == "da33089532133c7cdaa8a9381e35247ad4e633941ba64ca5b8e67baaedb9fd39")
        #expect(file.digest == "16418031fca04fff7927a2c3544565db6c785b16b4d99b8093ade50e0e6cc3ab")
        #expect(try file.verify().isEmpty)
    }

    /// The writer still makes the same bytes from the same content.
    @Test(arguments: ["training", "chunked"]) func writingAgainGivesTheSameFile(name: String) throws {
        let file = try open(name)
        let tensors = try TensorGroup.allCases.flatMap { group in
            try file.tensors(in: group).map { tensor in
                var bytes = [UInt8](repeating: 0, count: tensor.description.byteCount)
                try bytes.withUnsafeMutableBytes { try file.read(tensor, into: $0) }
                return Samples.tensor(
                    tensor.description.name, tensor.description.elementType, tensor.description.shape, bytes, group)
            }
        }
        try withTemporaryPath { folder in
            let path = folder + "/again.h5"
            _ = try CheckpointWriter.write(file.metadata, tensors: tensors, to: path, overwrite: false)
            let again = try CheckpointFile(path: path)
            #expect(again.metadata == file.metadata)
            #expect(again.digest == file.digest)
            #expect(again.fileByteCount == file.fileByteCount)
        }
    }
}
