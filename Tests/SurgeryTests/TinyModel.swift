import CheckpointIO
import Foundation
import OrderedJSON
import Surgery
import TestSupport
import Tokenization

/// A tiny decoder: two layers of width 16 with a byte-level tokenizer.
struct TinyModel {
    var tied = true
    /// Rows without a token.
    var padding = 0
    var elementType = ElementType.bfloat16
    var hasOptimizer = false
    var specialTokens = ["<|end|>", "<|user|>", "<|assistant|>"]
    var template: String? =
        "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
        + "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    var step = 0
    /// Offsets added to the values of tensors whose name contains the key.
    var shifts: [String: Float] = [:]
    var history: [String: MetricHistory] = [:]
    var probes: [ProbeTable] = []
    var lineage: [String] = []
    var tokenizerJSON: [UInt8]?

    static let hidden = 16
    static let intermediate = 24

    var tokenizerRecord: TokenizerRecord {
        get throws {
            let json = tokenizerJSON ?? ByteLevelTokenizer.makeJSON(specialTokens: specialTokens, alphabet: nil)
            let tokenizer = try Tokenizer(json: json)
            return TokenizerRecord(
                json: json, config: #"{"eos_token": "<|end|>", "added_tokens_decoder": {}}"#,
                addedTokens: tokenizer.addedTokens.map {
                    AddedTokenRecord(id: $0.id, content: $0.content, special: $0.special, trained: true)
                })
        }
    }

    func config(vocabulary: Int) -> String {
        """
        {
          "architectures": ["LlamaForCausalLM"],
          "model_type": "llama",
          "vocab_size": \(vocabulary),
          "hidden_size": \(Self.hidden),
          "intermediate_size": \(Self.intermediate),
          "num_hidden_layers": 2,
          "num_attention_heads": 2,
          "num_key_value_heads": 1,
          "head_dim": 8,
          "hidden_act": "silu",
          "max_position_embeddings": 256,
          "rms_norm_eps": 1e-06,
          "rope_theta": 10000.0,
          "attention_bias": false,
          "mlp_bias": false,
          "initializer_range": 0.02,
          "eos_token_id": 0,
          "tie_word_embeddings": \(tied)
        }
        """
    }

    func shapes(vocabulary: Int) -> [(name: String, shape: [Int])] {
        let hidden = Self.hidden
        var result = [("model.embed_tokens.weight", [vocabulary, hidden]), ("model.norm.weight", [hidden])]
        for layer in 0..<2 {
            let prefix = "model.layers.\(layer)."
            result += [
                (prefix + "input_layernorm.weight", [hidden]), (prefix + "post_attention_layernorm.weight", [hidden]),
                (prefix + "self_attn.q_proj.weight", [16, hidden]), (prefix + "self_attn.k_proj.weight", [8, hidden]),
                (prefix + "self_attn.v_proj.weight", [8, hidden]), (prefix + "self_attn.o_proj.weight", [hidden, 16]),
                (prefix + "mlp.gate_proj.weight", [Self.intermediate, hidden]),
                (prefix + "mlp.up_proj.weight", [Self.intermediate, hidden]),
                (prefix + "mlp.down_proj.weight", [hidden, Self.intermediate]),
            ]
        }
        if !tied { result.append(("lm_head.weight", [vocabulary, hidden])) }
        return result
    }

    /// Values that depend only on the name and the index.
    static func values(_ name: String, count: Int) -> [Float] {
        var state = name.utf8.reduce(UInt64(1469)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let uniform = Float(state >> 40) / Float(1 << 24) - 0.5
            return name.contains("norm") ? 1 + uniform * 0.1 : uniform * 0.3
        }
    }

    /// Writes the model to a new file and opens it.
    func write(to path: String) throws -> CheckpointFile {
        let record = try tokenizerRecord
        let vocabulary = try Tokenizer(json: record.json).vocabularySize + padding
        var tensors: [TensorToWrite] = []
        for (name, shape) in shapes(vocabulary: vocabulary) {
            let count = shape.reduce(1, *)
            let shift = shifts.first { name.contains($0.key) }?.value ?? 0
            let values = Self.values(name, count: count).map { $0 + shift }
            tensors.append(try Self.tensor(.weights, name, shape, values, elementType))
            if hasOptimizer {
                tensors.append(try Self.tensor(.optimizerM, name, shape, values.map { $0 * 0.01 }, .float32))
                tensors.append(try Self.tensor(.optimizerV, name, shape, values.map { $0 * $0 }, .float32))
            }
        }
        let metadata = CheckpointMetadata(
            kind: hasOptimizer ? .training : .model, step: step, createdBy: "test",
            config: config(vocabulary: vocabulary), generationConfig: nil, chatTemplate: template, tokenizer: record,
            tiedTensors: tied ? ["lm_head.weight": "model.embed_tokens.weight"] : [:],
            optimizer: hasOptimizer ? OptimizerRecord(step: 7, beta1: 0.9, beta2: 0.999, epsilon: 1e-8) : nil,
            trainingState: nil, history: history, probes: probes, lineage: lineage)
        _ = try CheckpointWriter.write(metadata, tensors: tensors, to: path, overwrite: true)
        return try CheckpointFile(path: path)
    }

    static func tensor(
        _ group: TensorGroup, _ name: String, _ shape: [Int], _ values: [Float], _ type: ElementType
    ) throws -> TensorToWrite {
        var bytes = [UInt8](repeating: 0, count: values.count * type.byteCount)
        try values.withUnsafeBufferPointer { values in
            try bytes.withUnsafeMutableBytes { try ElementConversion.fromFloat32(values, type, into: $0) }
        }
        let stored = bytes
        return TensorToWrite(
            group: group, description: TensorDescription(name: name, elementType: type, shape: shape),
            content: .bytes { range, target in stored[range].withUnsafeBytes { target.copyMemory(from: $0) } })
    }
}

extension CheckpointFile {
    /// The stored bytes of a tensor.
    func bytes(_ name: String, in group: TensorGroup = .weights) throws -> [UInt8] {
        guard let tensor = tensor(name, in: group) else { return [] }
        var bytes = [UInt8](repeating: 0, count: tensor.description.byteCount)
        try bytes.withUnsafeMutableBytes { try read(tensor, into: $0) }
        return bytes
    }

    func values(_ name: String, in group: TensorGroup = .weights) throws -> [Float] {
        guard let tensor = tensor(name, in: group) else { return [] }
        var values = [Float](repeating: 0, count: tensor.description.elementCount)
        try values.withUnsafeMutableBufferPointer { try readFloat32(name, in: group, into: $0) }
        return values
    }
}

extension TemporaryFolder {
    /// A destination in the folder that may be overwritten.
    func destination(_ name: String) -> SurgeryDestination { SurgeryDestination(path(name), overwrite: true) }
}
