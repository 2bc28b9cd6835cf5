import CheckpointIO
import Foundation
import OrderedJSON
import Testing

@Suite struct ModelImportTests {
    @Test(arguments: [
        ("llama-tied-bf16", true, ElementType.bfloat16), ("qwen2-sharded-f32", false, .float32),
        ("qwen3-f16", true, .float16),
    ])
    func folderGivesTensorsAndTexts(name: String, tied: Bool, type: ElementType) throws {
        let model = try ModelImport.open(path: ModelFixtures.path(name))
        try ModelFixtures.expect(model.source, equals: try ModelFixtures.json("\(name)/expected.json"))
        #expect(model.source.tensors.allSatisfy { $0.elementType == type })
        #expect(model.metadata.tiedTensors == (tied ? ["lm_head.weight": "model.embed_tokens.weight"] : [:]))
        let config = try String(contentsOfFile: ModelFixtures.path("\(name)/config.json"), encoding: .utf8)
        #expect(model.metadata.config == config)
        let template = try String(contentsOfFile: ModelFixtures.path("\(name)/chat_template.jinja"), encoding: .utf8)
        #expect(model.metadata.chatTemplate == template)
        #expect(model.metadata.generationConfig != nil)
        let tokenizer = try #require(model.metadata.tokenizer)
        let json = try Data(contentsOf: URL(fileURLWithPath: ModelFixtures.path("\(name)/tokenizer.json")))
        #expect(tokenizer.json == [UInt8](json))
        #expect(tokenizer.addedTokens.map(\.content) == ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool>"])
        #expect(tokenizer.addedTokens.map(\.special) == [true, true, true, false])
        #expect(tokenizer.thinkID == nil)
    }

    @Test(arguments: ["qwen2-sharded-f32/model.safetensors.index.json", "llama-tied-bf16/model.safetensors"])
    func fileInAFolderOpensTheModel(path: String) throws {
        let model = try ModelImport.open(path: ModelFixtures.path(path))
        #expect(model.metadata.tokenizer != nil)
        #expect(!model.source.tensors.isEmpty)
    }

    @Test(arguments: ["llama-quantised", "qwen2-f16", "qwen3-bf16"])
    func ggufGivesTheValuesOfTheGGUFPackage(name: String) throws {
        let model = try ModelImport.open(path: ModelFixtures.path(name + ".gguf"))
        try ModelFixtures.expect(model.source, equals: try ModelFixtures.json(name + ".expected.json"))
    }

    @Test(arguments: [
        ("llama-quantised.gguf", "llama-tied-bf16"), ("qwen2-f16.gguf", "qwen2-sharded-f32"),
        ("qwen3-bf16.gguf", "qwen3-f16"),
    ])
    func ggufConfigurationEqualsTheOriginal(name: String, original: String) throws {
        let made = try ModelImport.open(path: ModelFixtures.path(name)).metadata
        let folder = try ModelImport.open(path: ModelFixtures.path(original)).metadata
        let (config, wanted) = (try JSON.parse(made.config), try JSON.parse(folder.config))
        for key in [
            "architectures", "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size",
            "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "tie_word_embeddings",
            "hidden_act",
        ] { #expect(config[key] == wanted[key], "\(key)") }
        #expect(config["rms_norm_eps"]?.double == 1e-5)
        #expect(config["rope_theta"]?.double == 100_000)
        #expect(made.tiedTensors == folder.tiedTensors)
        #expect(made.chatTemplate == folder.chatTemplate)
        let generation = try JSON.parse(try #require(made.generationConfig))
        let tokenizerConfig = try JSON.parse(try #require(made.tokenizer?.config))
        #expect(tokenizerConfig["eos_token"] == "<|im_end|>")
        #expect(generation["eos_token_id"] == config["eos_token_id"])
    }

    /// The rebuilt tokenizer.json has all parts of the original that affect ids.
    @Test(arguments: [("llama-quantised.gguf", "llama-tied-bf16"), ("qwen2-f16.gguf", "qwen2-sharded-f32")])
    func ggufTokenizerEqualsTheOriginal(name: String, original: String) throws {
        let made = try JSON.parse(
            try #require(try ModelImport.open(path: ModelFixtures.path(name)).metadata.tokenizer).json)
        let wanted = try ModelFixtures.json(original + "/tokenizer.json")
        #expect(made["added_tokens"] == wanted["added_tokens"])
        #expect(made["normalizer"] == wanted["normalizer"])
        #expect(made["pre_tokenizer"] == wanted["pre_tokenizer"])
        #expect(made["decoder"] == wanted["decoder"])
        #expect(made["model"]?["merges"] == wanted["model"]?["merges"])
        for (token, id) in wanted["model"]?["vocab"]?.object ?? JSONObject() {
            #expect(made["model"]?["vocab"]?[token] == id)
        }
    }

    @Test(arguments: GGUFTensorType.allCases.filter { $0.blockElementCount > 1 })
    func blocksDecodeToTheSameBits(type: GGUFTensorType) throws {
        let data = try [UInt8](Data(contentsOf: URL(fileURLWithPath: ModelFixtures.path("blocks-\(type.name).bin"))))
        let valueCount = 8 * type.blockElementCount
        let stored = 8 * type.blockByteCount
        try #require(data.count == stored + 4 * valueCount)
        var values = [Float](repeating: 0, count: valueCount)
        data.withUnsafeBytes { bytes in
            values.withUnsafeMutableBufferPointer {
                GGUFDequantization.decode(type, bytes.baseAddress!, blockCount: 8, into: $0.baseAddress!)
            }
            for (index, value) in values.enumerated() {
                let wanted = bytes.loadUnaligned(fromByteOffset: stored + 4 * index, as: UInt32.self)
                #expect(value.bitPattern == wanted, "\(type.name) element \(index)")
            }
        }
    }

    @Test func headRowsAreInterleaved() {
        let order = HeadRowOrder(headDimension: 8)
        #expect((0..<8).map(order.ggufRow) == [0, 2, 4, 6, 1, 3, 5, 7])
        #expect((8..<16).map(order.ggufRow) == [8, 10, 12, 14, 9, 11, 13, 15])
    }
}
