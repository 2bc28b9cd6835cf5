import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

@Suite struct ModelExportTests {
    /// An imported model, written to a checkpoint and opened again.
    private func checkpoint(_ name: String, in folder: URL) throws -> CheckpointFile {
        let model = try ModelImport.open(path: ModelFixtures.path(name))
        let path = folder.appendingPathComponent("model.h5").path
        _ = try CheckpointWriter.write(
            model.metadata,
            tensors: model.source.tensors.map { tensor in
                TensorToWrite(
                    description: tensor,
                    content: .bytes { try model.source.read(tensor.name, range: $0, into: $1) })
            }, to: path, overwrite: true)
        return try CheckpointFile(path: path)
    }

    @Test(arguments: ["llama-tied-bf16", "qwen2-sharded-f32", "qwen3-f16"], [5_000_000_000, 60_000])
    func folderRoundTrips(name: String, shardByteCount: Int) throws {
        try withTemporaryFolder { folder in
            let file = try checkpoint(name, in: folder)
            let output = folder.appendingPathComponent("out").path
            try HuggingFaceExport.write(
                file.metadata, CheckpointTensors(file), to: output, overwrite: false, maximumShardBytes: shardByteCount)
            let hasIndex = FileManager.default.fileExists(atPath: output + "/model.safetensors.index.json")
            #expect(hasIndex == (shardByteCount < 1_000_000))
            let back = try ModelImport.open(path: output)
            try ModelFixtures.expect(back.source, equals: try ModelFixtures.json("\(name)/expected.json"))
            #expect(back.metadata.tiedTensors == file.metadata.tiedTensors)
            #expect(back.metadata.tokenizer?.json == file.metadata.tokenizer?.json)
            #expect(back.metadata.chatTemplate == file.metadata.chatTemplate)
            #expect(back.notes == [])
            // Nothing temporary is left.
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["model.h5", "out"])
        }
    }

    @Test func textsHaveTheKeysOfBothTransformersVersions() throws {
        try withTemporaryFolder { folder in
            let file = try checkpoint("llama-tied-bf16", in: folder)
            let output = folder.appendingPathComponent("out")
            try HuggingFaceExport.write(file.metadata, CheckpointTensors(file), to: output.path, overwrite: false)
            let config = try JSON.parse([UInt8](Data(contentsOf: output.appendingPathComponent("config.json"))))
            #expect(config["torch_dtype"] == "bfloat16")
            #expect(config["dtype"] == "bfloat16")
            #expect(config["rope_theta"]?.double == 100_000)
            #expect(config["rope_scaling"] == .null)
            #expect(config["rope_parameters"]?["rope_type"] == "default")
            #expect(config["tie_word_embeddings"] == true)
            #expect(config["architectures"] == ["LlamaForCausalLM"])
            let tokenizer = try JSON.parse(
                [UInt8](Data(contentsOf: output.appendingPathComponent("tokenizer_config.json"))))
            #expect(tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast")
            #expect(tokenizer["chat_template"]?.string == file.metadata.chatTemplate)
        }
    }

    @Test(arguments: ["llama-quantised.gguf", "qwen2-f16.gguf", "qwen3-bf16.gguf"])
    func ggufRoundTrips(name: String) throws {
        try withTemporaryFolder { folder in
            let file = try checkpoint(name, in: folder)
            let output = folder.appendingPathComponent("out.gguf").path
            try GGUFExport.write(file.metadata, CheckpointTensors(file), to: output, overwrite: false)
            let back = try ModelImport.open(path: output)
            // Vectors keep their type, and so do matrices if they have the most frequent type.
            try ModelFixtures.expect(
                back.source, equals: try ModelFixtures.json(name.replacing(".gguf", with: ".expected.json")))
            #expect(back.metadata.tokenizer == file.metadata.tokenizer)
            #expect(back.metadata.chatTemplate == file.metadata.chatTemplate)
            #expect(back.metadata.generationConfig == file.metadata.generationConfig)
            #expect(try JSON.parse(back.metadata.config) == JSON.parse(file.metadata.config))
        }
    }

    @Test func eightBitBlocksEqualThoseOfTheGGUFPackage() throws {
        // The fixture has float32 values, followed by the blocks that the package encodes them to.
        let data = try [UInt8](Data(contentsOf: URL(fileURLWithPath: ModelFixtures.path("encode-Q8_0.bin"))))
        let count = 64 * 32
        let values = data.withUnsafeBytes { bytes in
            (0..<count).map { Float(bitPattern: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)) }
        }
        var encoded = [UInt8](repeating: 0, count: 64 * 34)
        let isFinite = values.withUnsafeBufferPointer { values in
            encoded.withUnsafeMutableBytes { GGUFQuantization.encodeQ8(values, into: $0) }
        }
        #expect(isFinite)
        #expect(encoded == Array(data[(4 * count)...]))
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func nonFiniteValuesAreNotEncoded(value: Float) {
        var values = [Float](repeating: 1, count: 32)
        values[17] = value
        var encoded = [UInt8](repeating: 0, count: 34)
        let isFinite = values.withUnsafeBufferPointer { values in
            encoded.withUnsafeMutableBytes { GGUFQuantization.encodeQ8(values, into: $0) }
        }
        #expect(!isFinite)
    }

    @Test(arguments: [ElementType.float32, .float16, .bfloat16])
    func conversionRoundsLikeACast(type: ElementType) throws {
        let model = try ModelImport.open(path: ModelFixtures.path("qwen2-sharded-f32"))
        let converted = ConvertedTensors(model.source, to: type)
        let name = "model.layers.0.self_attn.q_proj.weight"
        let tensor = try #require(converted.tensors.first { $0.name == name })
        #expect(tensor.elementType == type)
        let original = try #require(model.source.tensors.first { $0.name == name })
        let values = try ModelFixtures.bytes(model.source, original).withUnsafeBytes { bytes in
            (0..<original.elementCount).map {
                Float(bitPattern: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self))
            }
        }
        var wanted = [UInt8](repeating: 0, count: tensor.byteCount)
        try values.withUnsafeBufferPointer { values in
            try wanted.withUnsafeMutableBytes { try ElementConversion.fromFloat32(values, type, into: $0) }
        }
        #expect(try ModelFixtures.bytes(converted, tensor) == wanted)
    }

    @Test func onlyExportedModelsAreReplacedAndOnlyOnRequest() throws {
        try withTemporaryFolder { folder in
            let file = try checkpoint("qwen3-f16", in: folder)
            let source = CheckpointTensors(file)
            let output = folder.appendingPathComponent("out").path
            func export(overwrite: Bool) -> String? {
                ModelFixtures.message {
                    try HuggingFaceExport.write(file.metadata, source, to: output, overwrite: overwrite)
                }
            }
            try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
            #expect(export(overwrite: false) == nil)
            #expect(
                export(overwrite: false) == "\(output): already exists; choose another name or replace it with --force")
            try Data("old".utf8).write(to: URL(fileURLWithPath: output + "/leftover.txt"))
            #expect(export(overwrite: true) == nil)
            #expect(!FileManager.default.fileExists(atPath: output + "/leftover.txt"))
            try FileManager.default.removeItem(atPath: output + "/config.json")
            #expect(
                export(overwrite: true)
                    == "\(output): already exists; it is not an exported model and is not replaced; choose another name"
            )
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["model.h5", "out"])
        }
    }

    /// A source that fails halfway leaves no files.
    @Test func failureLeavesNothing() throws {
        struct Broken: TensorSource {
            let base: CheckpointTensors
            var tensors: [TensorDescription] { base.tensors }

            func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
                if name == "model.norm.weight" { throw CheckpointError.noTensor(path: "x", name: name) }
                try base.read(name, range: range, into: destination)
            }
        }
        try withTemporaryFolder { folder in
            let file = try checkpoint("qwen3-f16", in: folder)
            let source = Broken(base: CheckpointTensors(file))
            let output = folder.appendingPathComponent("out").path
            #expect(throws: CheckpointError.self) {
                try HuggingFaceExport.write(file.metadata, source, to: output, overwrite: false)
            }
            #expect(throws: CheckpointError.self) {
                try GGUFExport.write(file.metadata, source, to: output + ".gguf", overwrite: false)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model.h5"])
        }
    }
}
