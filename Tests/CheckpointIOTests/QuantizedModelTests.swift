import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Models in FP8, and GGUF models in shards.
@Suite struct QuantizedModelTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static let shards = (1...4).map { "llama-quantised-0000\($0)-of-00004.gguf" }

    /// Copies the shards into the folder.
    private func copyShards() throws {
        for name in Self.shards {
            try FileManager.default.copyItem(
                atPath: ModelFixtures.path("llama-split/\(name)"), toPath: folder.path(name))
        }
    }

    // MARK: - Shards

    @Test(arguments: ["llama-split", "llama-split/llama-quantised-00001-of-00004.gguf"])
    func shardsAreOneModel(path: String) throws {
        let model = try ModelImport.open(path: ModelFixtures.path(path))
        try ModelFixtures.expect(model.source, equals: try ModelFixtures.json("llama-quantised.expected.json"))
        let whole = try ModelImport.open(path: ModelFixtures.path("llama-quantised.gguf"))
        #expect(model.metadata == whole.metadata)
        #expect(model.notes == whole.notes)
    }

    @Test func allShardsAreChecked() throws {
        let check = try ModelCheck(ModelFixtures.path("llama-split/\(Self.shards[0])"), .values)
        let whole = try ModelCheck(ModelFixtures.path("llama-quantised.gguf"), .values)
        #expect(check.damages.isEmpty && check.tensorCount == whole.tensorCount && check.byteCount == whole.byteCount)
    }

    @Test func aShardAloneIsRefused() throws {
        try copyShards()
        func problem(_ name: String) -> String? {
            ModelFixtures.message { try ModelImport.open(path: folder.path(name)) }
        }
        let other = try #require(problem(Self.shards[2]))
        #expect(other.contains("shard 3 of 4 alone") && other.contains("give the first shard, \(Self.shards[0])"))
        try FileManager.default.removeItem(atPath: folder.path(Self.shards[3]))
        #expect(problem(Self.shards[0])?.contains("\(Self.shards[3]): cannot read: no such file") == true)
        try FileManager.default.copyItem(atPath: folder.path(Self.shards[1]), toPath: folder.path(Self.shards[3]))
        #expect(problem(Self.shards[0])?.contains("do not make it shard 4 of 4") == true)
        try folder.write("another kind of file", to: Self.shards[3])
        #expect(
            problem(Self.shards[0])?.hasSuffix("\(Self.shards[3]): start of the file: does not begin with GGUF") == true
        )
    }

    @Test func tensorsOfAllShardsAreCounted() throws {
        try copyShards()
        // The number of the first shard's key split.tensors.count.
        var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: folder.path(Self.shards[0]))))
        let key = Array("split.tensors.count".utf8)
        let start = try #require((0..<bytes.count - key.count).first { bytes[$0..<$0 + key.count].elementsEqual(key) })
        bytes[start + key.count + 4] += 1
        try Data(bytes).write(to: URL(fileURLWithPath: folder.path(Self.shards[0])))
        let message = ModelFixtures.message { try ModelImport.open(path: folder.path) }
        #expect(message?.contains("21 tensors are listed, the 4 shards have 20") == true, "\(message ?? "")")
    }

    // MARK: - FP8

    @Test func weightsAreScaledByBlocks() throws {
        let model = try ModelImport.open(path: ModelFixtures.path("llama-fp8"))
        try ModelFixtures.expect(model.source, equals: try ModelFixtures.json("llama-fp8/expected.json"))
        #expect(try JSON.parse(model.metadata.config)["quantization_config"] == nil)
        #expect(model.notes.contains("F8_E4M3 values times their scales are converted to float32"))
        let quantization = try #require(model.source.quantization(of: "model.layers.0.mlp.down_proj.weight"))
        // 128 columns are no multiple of blocks of 48, so a row counts as a block.
        #expect(quantization == TensorQuantization(name: "F8_E4M3", blockElementCount: 128, storedByteCount: 8192 + 24))
        #expect(model.source.quantization(of: "model.norm.weight") == nil)
    }

    @Test func allBytesAndOtherScales() throws {
        let path = ModelFixtures.path("float8.safetensors")
        let source = try ModelImport.open(path: path, requiresConfig: false).source
        #expect(!source.tensors.contains { $0.name.hasSuffix("_scale") })
        for name in ["e4m3", "e5m2", "row.weight", "whole.weight"] {
            let found = try values(source, name)
            let expected = try values(source, "expected." + name)
            #expect(found.count == expected.count)
            for (a, b) in zip(found, expected) { #expect(a == b || a.isNaN && b.isNaN, "\(name)") }
        }
        let check = try ModelCheck(path, .values)
        // E4M3 has two NaN, E5M2 six and two infinite values; each is there once more as float32.
        #expect(
            check.damages.map(\.problem) == [
                "has 2 NaN values", "has 6 NaN and 2 infinite values", "has 2 NaN values",
                "has 6 NaN and 2 infinite values",
            ])
    }

    @Test func scalesThatDoNotFitAreRefused() throws {
        var config = try ModelFixtures.json("llama-fp8/config.json").object ?? JSONObject()
        try FileManager.default.copyItem(
            atPath: ModelFixtures.path("llama-fp8/model.safetensors"), toPath: folder.path("model.safetensors"))
        func message(_ quantization: JSON) throws -> String? {
            config["quantization_config"] = quantization
            try folder.write(JSON.object(config).serialized(), to: "config.json")
            return ModelFixtures.message { try ModelImport.open(path: folder.path) }
        }
        let blocks = try message(["quant_method": "fp8", "weight_block_size": [64, 64]])
        #expect(blocks?.contains("in blocks of 64 × 64 has ") == true, "\(blocks ?? "")")
        let size = try message(["quant_method": "fp8", "weight_block_size": [0, 64]])
        #expect(size?.contains("the size of its blocks is not [rows, columns]") == true)
        let bits = try message([
            "quant_method": "compressed-tensors",
            "config_groups": ["group_0": ["weights": ["type": "int", "num_bits": 4]]],
        ])
        #expect(bits?.contains(#"a quantised model ("compressed-tensors") is not supported"#) == true)
        #expect(
            try message([
                "quant_method": "compressed-tensors",
                "config_groups": [
                    "group_0": ["weights": ["type": "float", "num_bits": 8, "block_structure": [32, 48]]]
                ],
            ]) == nil)
    }

    private func values(_ source: any TensorSource, _ name: String) throws -> [Float] {
        let tensor = try #require(source.tensors.first { $0.name == name })
        return try ModelFixtures.bytes(source, tensor).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }
}
