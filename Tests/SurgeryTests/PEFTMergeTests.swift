import CheckpointIO
import Foundation
import OrderedJSON
import Surgery
import TestSupport
import Testing

/// Merges adapters that PEFT wrote, and compares with PEFT's merged models (Fixtures/make_peft.py).
@Suite struct PEFTMergeTests {
    private static let cases = [
        "llama", "patterns", "tied-rows", "rows", "fused", "saved", "resized", "embedding", "resized-tied",
    ]

    private static func place(_ name: String) -> String { fixturesFolder().appending(path: "peft/\(name)").path }

    private static func values(_ tensor: TensorDescription, of source: any TensorSource) throws -> [Float] {
        var bytes = [UInt8](repeating: 0, count: tensor.byteCount)
        try bytes.withUnsafeMutableBytes { try source.read(tensor.name, range: 0..<tensor.byteCount, into: $0) }
        var values = [Float](repeating: 0, count: tensor.elementCount)
        try bytes.withUnsafeBytes { bytes in
            try values.withUnsafeMutableBufferPointer {
                try ElementConversion.toFloat32(bytes, tensor.elementType, into: $0)
            }
        }
        return values
    }

    /// Expects the tensors of PEFT's merged model: within 1e-6, or in bfloat16 within one unit of the last place.
    private static func expect(_ source: any TensorSource, isMergedModelOf name: String) throws {
        let expected = try ModelImport.open(path: place(name) + "/merged").source
        #expect(Set(source.tensors.map(\.name)) == Set(expected.tensors.map(\.name)))
        for tensor in expected.tensors {
            let found = try #require(source.tensors.first { $0.name == tensor.name })
            #expect(found == tensor)
            let pairs = zip(try values(found, of: source), try values(tensor, of: expected))
            if tensor.elementType == .bfloat16 {
                let apart = pairs.map { abs(Int($0.bitPattern >> 16) - Int($1.bitPattern >> 16)) }
                #expect(apart.allSatisfy { $0 <= 1 } && apart.count { $0 == 1 } <= 1, "\(tensor.name) \(apart)")
            } else {
                #expect(pairs.allSatisfy { abs($0 - $1) <= 1e-6 * max(1, abs($1)) }, "\(tensor.name)")
            }
        }
    }

    @Test(arguments: cases) func agreesWithPEFT(name: String) throws {
        let base = try ModelImport.open(path: Self.place(name) + "/base")
        let adapter = try PEFTAdapter(path: Self.place(name) + "/adapter")
        let merged = try adapter.merged(into: base.metadata, base.source)
        try Self.expect(merged.source, isMergedModelOf: name)
        #expect(merged.changed.count > 1 && merged.changed.isSubset(of: merged.source.tensors.map(\.name)))
        let config = try JSON.parse(merged.metadata.config)
        let rows = merged.source.tensors.first { $0.name == "model.embed_tokens.weight" }?.shape[0]
        #expect(config["vocab_size"]?.int == rows)
    }

    /// Any range of bytes is that of the whole tensor.
    @Test func rangesOfBytes() throws {
        let base = try ModelImport.open(path: Self.place("patterns") + "/base")
        let adapter = try PEFTAdapter(path: Self.place("patterns") + "/adapter")
        let source = try adapter.merged(into: base.metadata, base.source).source
        let name = "model.layers.1.mlp.up_proj.weight"
        func bytes(_ range: Range<Int>) throws -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: range.count)
            try bytes.withUnsafeMutableBytes { try source.read(name, range: range, into: $0) }
            return bytes
        }
        let whole = try bytes(0..<192)
        for range in [0..<1, 3..<40, 15..<17, 16..<32, 191..<192, 5..<5] {
            #expect(try bytes(range) == Array(whole[range]))
        }
    }

    @Test func aCheckpointKeepsWhatTheAdapterLeavesAlone() throws {
        let folder = try TemporaryFolder()
        let model = try ModelImport.open(path: Self.place("rows") + "/base")
        _ = try CheckpointWriter.write(
            model.metadata, tensors: model.source.tensors.map { TensorToWrite(reading: $0, from: model.source) },
            to: folder.path("base.h5"), overwrite: false)
        let base = try CheckpointFile(path: folder.path("base.h5"))
        // The file of the tensors can be given, too.
        let adapter = try PEFTAdapter(path: Self.place("rows") + "/adapter/adapter_model.safetensors")
        let result = try Merge.run(base, adapter: adapter, to: folder.destination("merged.h5"))
        let merged = try CheckpointFile(path: folder.path("merged.h5"))
        try Self.expect(CheckpointTensors(merged), isMergedModelOf: "rows")
        // Embedding, head, and the matrices and the bias of one layer.
        #expect(result.writtenTensorCount == 5 && result.copiedTensorCount == base.tensors().count - 5)
        #expect(result.digest == merged.digest && merged.metadata.kind == .model)
        let entry = try #require(merged.metadata.lineage.last.flatMap(LineageEntry.init(text:)))
        #expect(entry.operation == "merge" && entry.parent == base.digest)
        #expect(entry.arguments["base_model_name_or_path"]?.string == "tiny/rows")
        #expect(entry.arguments["sha256"]?.string?.count == 64 && entry.arguments["lora_alpha"]?.int == 16)
        let name = "model.layers.0.self_attn.k_proj.weight"
        #expect(merged.tensor(name)?.sha256 == base.tensor(name)?.sha256)
    }

    // MARK: - Other trainers' files

    /// A copy of a fixture's adapter, changed.
    private func edited(
        _ name: String, config: (inout JSON) -> Void = { _ in }, rename: (String) -> String = { $0 }
    ) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        let adapter = URL(filePath: Self.place(name)).appending(path: "adapter")
        var json = try JSON.parse([UInt8](Data(contentsOf: adapter.appending(path: "adapter_config.json"))))
        config(&json)
        try folder.write(json.serialized(), to: "adapter_config.json")
        let bytes = [UInt8](try Data(contentsOf: adapter.appending(path: "adapter_model.safetensors")))
        let length = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = try JSON.parse(Array(bytes[8..<8 + length]))
        var renamed = JSONObject()
        for (key, value) in header.object ?? JSONObject() where key != "__metadata__" { renamed[rename(key)] = value }
        let text = Array(JSON.object(renamed).serialized().utf8)
        let size = (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) }
        try Data(size + text + bytes[(8 + length)...]).write(
            to: folder.url.appending(path: "adapter_model.safetensors"))
        return folder
    }

    private static let renamings: [@Sendable (String) -> String] = [
        { $0.replacing("base_model.model.", with: "") },
        {
            $0.replacing("lora_A.", with: "lora_A.default.").replacing("lora_B.", with: "lora_B.default.")
                .replacing("tokens_delta", with: "tokens_delta.default")
        },
        { $0.replacing("lora_A.", with: "lora_A.tuned.").replacing("lora_B.", with: "lora_B.tuned.") },
        {
            $0.replacing("embed_tokens.weight", with: "embed_tokens.modules_to_save.default.weight")
                .replacing("lm_head.weight", with: "lm_head.modules_to_save.weight")
        },
    ]

    @Test(arguments: 0..<4, ["llama", "rows", "saved"]) func namesOfTensors(number: Int, name: String) throws {
        let folder = try edited(name, rename: Self.renamings[number])
        let base = try ModelImport.open(path: Self.place(name) + "/base")
        let merged = try PEFTAdapter(path: folder.path).merged(into: base.metadata, base.source)
        try Self.expect(merged.source, isMergedModelOf: name)
    }

    /// Settings that select the same modules, or that are of no account.
    private static let equalSettings: [(String, JSON)] = [
        ("target_modules", "all-linear"), ("target_modules", .null), ("init_lora_weights", "gaussian"),
        ("target_modules", #"(?:.*?(?:self_attn|mlp).*?(?:q|k|v|o|gate|up|down)_proj)|(?:\bmodel\.x)"#),
        ("layers_to_transform", [0, 1]), ("layers_pattern", "layers"), ("exclude_modules", ["lm_head"]),
        ("use_rslora", .null), ("fan_in_fan_out", false), ("layer_replication", []), ("enable_lora", .null),
        ("rank_pattern", ["x_proj": 3]), ("alpha_pattern", [#".*\.q_proj"#: 8]),
    ]

    @Test(arguments: 0..<13) func equalSettings(number: Int) throws {
        let (key, value) = Self.equalSettings[number]
        let folder = try edited("llama", config: { $0[key] = value })
        let base = try ModelImport.open(path: Self.place("llama") + "/base")
        let merged = try PEFTAdapter(path: folder.path).merged(into: base.metadata, base.source)
        try Self.expect(merged.source, isMergedModelOf: "llama")
    }

    // MARK: - Refusals

    private static let refusals: [(String, JSON, String)] = [
        ("use_dora", true, "use_dora"), ("peft_type", "LOHA", "LOHA"), ("peft_type", "IA3", "IA3"),
        ("peft_type", .null, "peft_type"), ("lora_bias", true, "lora_bias"), ("fan_in_fan_out", true, "fan_in_fan_out"),
        ("layer_replication", [[0, 2]], "layer_replication"), ("alora_invocation_tokens", [1], "alora"),
        ("target_parameters", ["experts"], "target_parameters"), ("init_lora_weights", "pissa", "pissa"),
        ("use_later_variant", true, "use_later_variant"), ("r", 0, "1...65536"), ("r", 1.5, "integer"),
        ("r", 8, "rank 8"), ("lora_alpha", "8", "lora_alpha"), ("rank_pattern", ["q_proj": 2], "rank 2"),
        ("rank_pattern", ["q_proj": 2.5], "no integer"), ("alpha_pattern", ["q_proj": -1], "positive"),
        ("alpha_pattern", ["(q_proj": 1], "not a regular expression"),
        ("alpha_pattern", ["([a-z_.0-9]+)*[!?]": 1], "too long"),
        ("target_modules", ["q_proj"], "leave the module out"),
        ("target_modules", 3, "target_modules"), ("layers_to_transform", [1], "leave the module out"),
        ("exclude_modules", ".*q_proj", "leave the module out"), ("trainable_token_indices", [1], "0"),
        ("trainable_token_indices", [1, 1], "different"),
    ]

    @Test(arguments: 0..<26) func refuses(number: Int) throws {
        let (key, value, words) = Self.refusals[number]
        let folder = try edited("llama", config: { $0[key] = value })
        let base = try ModelImport.open(path: Self.place("llama") + "/base")
        let error = #expect(throws: ModelFormatError.self, "\(key) \(value)") {
            _ = try PEFTAdapter(path: folder.path).merged(into: base.metadata, base.source)
        }
        #expect(error?.description.contains(words) == true, "\(key): \(error?.description ?? "")")
    }

    private static let wrongNames: [(String, String, String)] = [
        ("layers.0.mlp.up_proj.lora_A", "layers.0.mlp.up_proj.lora_magnitude_vector", "plain LoRA does not have"),
        ("layers.0.mlp.up_proj.lora_A", "layers.0.mlp.up_proj.lora_B.other", "names the same tensor"),
        ("layers.0.mlp.up_proj.lora_A", "layers.7.mlp.up_proj.lora_A", "only one of"),
        ("layers.0.", "layers.5.", "is not in the base model"),
        ("layers.0.mlp.up_proj.lora_A.weight", "layers.0.mlp.up_proj.extra", "only one of"),
    ]

    @Test(arguments: 0..<5) func refusesTensors(number: Int) throws {
        let (old, new, words) = Self.wrongNames[number]
        let folder = try edited("llama", rename: { $0.replacing(old, with: new) })
        let base = try ModelImport.open(path: Self.place("llama") + "/base")
        let error = #expect(throws: ModelFormatError.self) {
            _ = try PEFTAdapter(path: folder.path).merged(into: base.metadata, base.source)
        }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test func refusesOtherFoldersAndBases() throws {
        let folder = try TemporaryFolder()
        func message(_ body: () throws -> Void) -> String {
            do { try body() } catch { return "\(error)" }
            return ""
        }
        #expect(message { _ = try PEFTAdapter(path: folder.path) }.contains("no adapter_config.json"))
        try FileManager.default.copyItem(
            atPath: Self.place("llama") + "/adapter/adapter_config.json", toPath: folder.path("adapter_config.json"))
        #expect(message { _ = try PEFTAdapter(path: folder.path) }.contains("no adapter_model.safetensors"))
        try folder.write("x", to: "adapter_model.bin")
        #expect(message { _ = try PEFTAdapter(path: folder.path) }.contains("pickle"))
        let adapter = try PEFTAdapter(path: Self.place("llama") + "/adapter")
        let other = try ModelImport.open(path: Self.place("fused") + "/base")
        #expect(message { _ = try adapter.merged(into: other.metadata, other.source) }.contains("\"tiny/llama\""))
        // LoRA on the embedding alone would untie the head.
        let tied = try ModelImport.open(path: Self.place("tied-rows") + "/base")
        let embedding = try edited("embedding", rename: { $0.replacing("lm_head", with: "model.layers.0.x_proj") })
        #expect(message { _ = try PEFTAdapter(path: embedding.path) }.contains("target_modules"))
        let saved = try PEFTAdapter(path: Self.place("saved") + "/adapter")
        #expect(message { _ = try saved.merged(into: tied.metadata, tied.source) }.contains("tied"))
    }
}
