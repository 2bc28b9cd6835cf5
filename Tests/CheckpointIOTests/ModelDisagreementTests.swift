import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Files that disagree with one another, or with the architecture, without need.
@Suite struct ModelDisagreementTests {
    /// Opens a copy of a fixture that `edit` changed.
    private func opened(
        _ name: String, _ edit: (URL) throws -> Void
    ) throws -> (model: ImportedModel?, message: String?) {
        try withTemporaryFolder { parent in
            let folder = parent.appendingPathComponent("model")
            try FileManager.default.copyItem(at: ModelFixtures.folder.appendingPathComponent(name), to: folder)
            try edit(folder)
            do {
                let model = try ModelImport.open(path: folder.path)
                // The weights of every tensor can be read.
                for tensor in model.source.tensors { _ = try ModelFixtures.bytes(model.source, tensor) }
                return (model, nil)
            } catch { return (nil, "\(error)".replacing(folder.path, with: "")) }
        }
    }

    private func editWeights(_ folder: URL, _ edit: (inout SafetensorsText) -> Void) throws {
        let url = folder.appendingPathComponent("model.safetensors")
        var text = try SafetensorsText(url)
        edit(&text)
        try text.write(to: url)
    }

    private func expectFit(_ model: ImportedModel?, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let model = try #require(model, sourceLocation: sourceLocation)
        let configuration = try ModelConfiguration(json: model.metadata.config)
        #expect(
            ArchitectureFit.problem(configuration, model.source.tensors, tied: model.metadata.tiedTensors) == nil,
            sourceLocation: sourceLocation)
    }

    @Test(arguments: ["_orig_mod.", "module.", "base_model.model.", "model.", "_orig_mod.module."])
    func longPrefixes(_ prefix: String) throws {
        let model = try opened("qwen3-f16") { folder in
            try editWeights(folder) { $0.rename { prefix + $0 } }
        }.model
        try expectFit(model)
        #expect(model?.notes.first?.hasPrefix("\"\(prefix)model.") == true)
        #expect(model?.notes.first?.contains(" more names likewise") == true)
    }

    @Test(arguments: [
        ("model.language_model.", "lm_head.weight"), ("", "lm_head.weight"), ("model.model.", "model.lm_head.weight"),
    ]) func otherPrefixes(_ body: String, _ head: String) throws {
        let model = try opened("qwen2-sharded-f32") { folder in
            for name in try FileManager.default.contentsOfDirectory(atPath: folder.path)
            where name.hasSuffix(".safetensors") {
                let url = folder.appendingPathComponent(name)
                var text = try SafetensorsText(url)
                text.rename { $0 == "lm_head.weight" ? head : body + $0.dropFirst("model.".count) }
                try text.write(to: url)
            }
        }.model
        try expectFit(model)
    }

    @Test func wrappersInsideNames() throws {
        let model = try opened("llama-tied-bf16") { folder in
            try editWeights(folder) { text in
                text.rename { $0.replacing(".self_attn.", with: "._fsdp_wrapped_module.self_attn._orig_mod.") }
            }
        }.model
        try expectFit(model)
    }

    @Test func buffersAreLeftOut() throws {
        let names = [
            "model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.1.self_attn.masked_bias",
            "model.layers.0.self_attn.bias", "model.rotary_emb.cos_cached", "num_batches_tracked",
        ]
        let model = try opened("llama-tied-bf16") { folder in
            try editWeights(folder) { text in
                for name in names { text.add(name, dtype: "U8", shape: [3], byteCount: 3) }
            }
        }.model
        try expectFit(model)
        #expect(model?.notes.first?.hasPrefix("left out buffers that are not parameters of the architecture: ") == true)
        #expect(model?.notes.first?.contains("and 2 more") == true)
    }

    /// Another tensor is kept, and a name that could be two parameters is not resolved.
    @Test func otherTensorsAreKept() throws {
        let model = try #require(
            try opened("llama-tied-bf16") { folder in
                try editWeights(folder) { $0.add("value_head.weight", dtype: "U8", shape: [3], byteCount: 3) }
            }.model)
        let configuration = try ModelConfiguration(json: model.metadata.config)
        #expect(
            ArchitectureFit.problem(configuration, model.source.tensors, tied: model.metadata.tiedTensors)?
                .hasPrefix("tensor \"value_head.weight\" has no place in the architecture; ckpt extract leaves it out")
                == true)
    }

    @Test func adaptersAreNamed() throws {
        let message = try opened("qwen3-f16") { folder in
            try editWeights(folder) {
                $0.rename { $0.replacing("q_proj.weight", with: "q_proj.lora_A.weight") }
            }
        }.message
        #expect(
            message?.hasSuffix(
                "a LoRA adapter as a model is not supported; import it together with its base model: "
                    + "ckpt import BASE --adapter FOLDER") == true)
    }

    private func editIndex(_ folder: URL, _ edit: (inout JSONObject) -> Void) throws {
        let url = folder.appendingPathComponent("model.safetensors.index.json")
        let index = try JSON.parse([UInt8](Data(contentsOf: url)))
        var map = try #require(index["weight_map"]?.object)
        edit(&map)
        try Data(JSON.object(JSONObject([("weight_map", .object(map))])).serialized().utf8).write(to: url)
    }

    @Test func indexAndShards() throws {
        let embedding = "model.embed_tokens.weight"
        var model = try opened("qwen2-sharded-f32") { folder in
            try editIndex(folder) { map in
                map["model.rotary.inv_freq"] = map[embedding]
                map[embedding] = nil
            }
        }.model
        try expectFit(model)
        #expect(
            model?.notes == [
                "the index does not place these tensors in the shards that hold them: \"\(embedding)\"",
                "the index lists tensors that no shard holds: \"model.rotary.inv_freq\"",
            ])

        func copyShard(_ folder: URL, changing: Bool) throws {
            try editIndex(folder) { map in map["copy"] = "copy.safetensors" }
            let first = try #require(
                try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().first {
                    $0.hasSuffix(".safetensors")
                })
            var bytes = try Data(contentsOf: folder.appendingPathComponent(first))
            if changing { bytes[bytes.count - 1] ^= 1 }
            try bytes.write(to: folder.appendingPathComponent("copy.safetensors"))
        }
        model = try opened("qwen2-sharded-f32") { try copyShard($0, changing: false) }.model
        try expectFit(model)
        #expect(model?.notes.contains { $0.hasPrefix("equal tensors in two shards are read once: ") } == true)
        model = try opened("qwen2-sharded-f32") { folder in
            try Data("x".utf8).write(to: folder.appendingPathComponent("extra.safetensors"))
        }.model
        try expectFit(model)
        #expect(model?.notes == ["left out files that the index does not name: \"extra.safetensors\""])
        let message = try opened("qwen2-sharded-f32") { try copyShard($0, changing: true) }.message
        #expect(message?.contains("differs from the tensor of this name in ") == true)
    }

    @Test func tokenizerWithATokenWithoutRow() throws {
        let model = try opened("llama-tied-bf16") { folder in
            let url = folder.appendingPathComponent("tokenizer.json")
            let text = try String(contentsOf: url, encoding: .utf8)
            let parsed = try JSON.parse(text)
            var object = try #require(parsed.object)
            let token: JSON = ["id": 293, "content": "<pad>", "special": true]
            object["added_tokens"] = .array((parsed["added_tokens"]?.array ?? []) + [token])
            try Data(JSON.object(object).serialized().utf8).write(to: url)
        }.model
        #expect(
            model?.notes == [
                "model.embed_tokens.weight has 293 rows, none for the added tokens \"<pad>\"; to run the model, give them "
                    + "rows with ckpt resize-vocab --pad-to-multiple-of 1"
            ])
    }
}
