import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Keys of GGUF files, as llama.cpp reads them.
@Suite struct GGUFKeyTests {
    private func imported(_ edit: (inout BrokenGGUFTests.File) -> Void) throws -> ImportedModel {
        try withTemporaryFolder { folder in
            let url = folder.appendingPathComponent("model.gguf")
            var file = BrokenGGUFTests.File.good
            edit(&file)
            try file.content.write(to: url)
            let model = try ModelImport.open(path: url.path)
            for tensor in model.source.tensors { _ = try ModelFixtures.bytes(model.source, tensor) }
            return model
        }
    }

    private func scaling(_ values: [(String, Float)], type: String? = nil, hasDivisors: Bool = false) throws -> JSON {
        let model = try imported { file in
            for (key, value) in values {
                file.set("llama.rope." + key, 6, BrokenGGUFTests.File.bytes(value.bitPattern))
            }
            if let type { file.set("llama.rope.scaling.type", 8, BrokenGGUFTests.File.text(type)) }
            if hasDivisors {
                // Two floats of which every byte is 0x40: 3.0039215.
                file.tensors.append(("rope_freqs.weight", [2], 0, 160))
                file.dataByteCount += 32
                file.fill = 0x40
            }
        }
        return try JSON.parse(model.metadata.config)["rope_scaling"] ?? "absent"
    }

    @Test func scalingKeys() throws {
        #expect(try scaling([]) == .null)
        #expect(try scaling([("scaling.factor", 1)]) == .null)
        #expect(try scaling([("scaling.factor", 0)]) == .null)
        #expect(try scaling([("scaling.factor", 4)], type: "none") == .null)
        #expect(try scaling([("scaling.factor", 4)]) == ["rope_type": "linear", "factor": .double(4)])
        #expect(try scaling([("scale_linear", 4)]) == ["rope_type": "linear", "factor": .double(4)])
        let yarn = try scaling([("scaling.factor", 4), ("scaling.attn_factor", 0.5)], type: "yarn")
        #expect(yarn["rope_type"] == "yarn" && yarn["original_max_position_embeddings"] == 64)
        #expect(abs((yarn["attention_factor"]?.double ?? 0) - 0.5 * (1 + 0.1 * log(4))) < 1e-7)
        #expect(try scaling([("scaling.factor", 4)], type: "yarn")["attention_factor"] == nil)
        let linear = try scaling([("scaling.factor", 4), ("scaling.attn_factor", 0.5)])
        #expect(linear["rope_type"] == "longrope" && linear["attention_factor"]?.double == 0.5)
        #expect(linear["long_factor"]?.array?.compactMap(\.double) == [4, 4])
        let divided = try scaling([("scaling.factor", 2)], hasDivisors: true)
        #expect(divided["rope_type"] == "longrope" && divided["short_factor"] == divided["long_factor"])
        #expect(abs((divided["short_factor"]?.array?.first?.double ?? 0) - 6.0078431) < 1e-5)
    }

    @Test func keysThatLlamaCppDoesNotRead() throws {
        let model = try imported { file in
            for name in ["rope.scaling.yarn_beta_fast", "attention.clamp_kqv"] {
                file.set("llama." + name, 6, BrokenGGUFTests.File.bytes(Float(4).bitPattern))
            }
        }
        #expect(
            model.notes.first
                == "left out what llama.cpp does not read for architecture llama: llama.attention.clamp_kqv, "
                + "llama.rope.scaling.yarn_beta_fast")
    }

    /// Hugging Face's llama has a bias on every projection of the attention or on none.
    @Test func missingBiasesAreZeros() throws {
        let model = try imported { file in
            for (name, shape) in [
                ("attn_q.weight", [8, 8]), ("attn_output.weight", [8, 8]), ("attn_q.bias", [8]),
            ] as [(String, [UInt64])] {
                file.tensors.append(("blk.0." + name, shape, 0, UInt64(file.dataByteCount)))
                file.dataByteCount += 256
            }
            file.fill = 0x40
        }
        let bias = "model.layers.0.self_attn.o_proj.bias"
        #expect(model.notes.contains("biases that the file does not have are zeros: \"\(bias)\""))
        let tensor = try #require(model.source.tensors.first { $0.name == bias })
        #expect(tensor.shape == [8])
        #expect(try ModelFixtures.bytes(model.source, tensor) == [UInt8](repeating: 0, count: 32))
        #expect(try JSON.parse(model.metadata.config)["attention_bias"] == true)
    }

    @Test(arguments: [("qwen2", false, false), ("qwen3", true, false), ("llama", true, true)])
    func onlyFieldsOfTheClass(_ family: String, _ attention: Bool, _ mlp: Bool) throws {
        let model = try imported { file in
            file.values = file.values.map { ($0.0.replacing("llama.", with: family + "."), $0.1, $0.2) }
            file.set("general.architecture", 8, BrokenGGUFTests.File.text(family))
        }
        let config = try JSON.parse(model.metadata.config)
        // Some classes have a default that is no row of a small vocabulary.
        #expect(config["pad_token_id"] == .null)
        #expect((config["attention_bias"] != nil) == attention && (config["mlp_bias"] != nil) == mlp)
        #expect(try ModelConfiguration(json: model.metadata.config).unreadFields == [])
    }
}
