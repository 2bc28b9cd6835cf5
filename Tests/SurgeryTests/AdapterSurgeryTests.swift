import CheckpointIO
import Foundation
import OrderedJSON
import Surgery
import TestSupport
import Testing

/// What operations, export and comparison do with a checkpoint that has an adapter.
@Suite struct AdapterSurgeryTests {
    let folder: TemporaryFolder
    let base: CheckpointFile
    let state: CheckpointFile

    init() throws {
        folder = try TemporaryFolder()
        base = try TinyModel(tied: false, elementType: .float32).write(to: folder.path("base.h5"))
        state = try AdapterState.write(base, to: folder.path("state.h5"), rows: [3, 5])
    }

    func open(_ name: String) throws -> CheckpointFile { try CheckpointFile(path: folder.path(name)) }

    private func expectPlain(_ file: CheckpointFile) throws {
        #expect(file.metadata.kind == .model)
        #expect(file.metadata.adapter == nil && file.metadata.optimizer == nil && file.metadata.trainingState == nil)
        #expect([TensorGroup.adapter, .base, .optimizerM].allSatisfy { file.tensors(in: $0).isEmpty })
    }

    @Test func operationsGiveAPlainModel() throws {
        let strip = try Strip.run(state, to: folder.destination("strip.h5"))
        #expect(strip.report["dropped_adapter"]?.bool == true && strip.notes.count == 1)
        try expectPlain(open("strip.h5"))
        #expect(try open("strip.h5").weightsDigest == state.weightsDigest)
        let cast = try Cast.run(
            state, as: .bfloat16, matching: NamePattern("*"), to: folder.destination("cast.h5"))
        #expect(cast.notes.count == 1)
        try expectPlain(open("cast.h5"))
        _ = try Rename.run(
            state, [try Rename.Rule("model.norm.*", "model.last.*")], to: folder.destination("rename.h5"))
        try expectPlain(open("rename.h5"))
        _ = try Graft.run(
            state, from: base, matching: [NamePattern("*norm*")], to: folder.destination("graft.h5"))
        try expectPlain(open("graft.h5"))
        _ = try ResizeVocabulary.run(state, toMultipleOf: 64, to: folder.destination("resize.h5"))
        try expectPlain(open("resize.h5"))
        var options = AddTokensOptions()
        options.measuresDivergence = false
        let report = try AddTokens.run(state, options, to: folder.destination("tokens.h5"))
        #expect(report.notes.contains { $0.contains("adapter") })
        try expectPlain(open("tokens.h5"))
        // A model without an adapter gets no note.
        #expect(try Strip.run(base, to: folder.destination("b.h5")).notes.isEmpty)
    }

    @Test func configKeepsTheAdapter() throws {
        let edit = try EditConfiguration.Edit(setting: "max_position_embeddings=512")
        let result = try EditConfiguration.run(state, [edit], to: folder.destination("config.h5"))
        #expect(result.notes.isEmpty)
        let after = try open("config.h5")
        #expect(after.metadata.adapter == state.metadata.adapter && after.digest == state.digest)
        #expect(after.metadata.kind == .training)
    }

    // MARK: - Export

    /// The exported adapter gives the base the weights of the state, to the bit.
    @Test(arguments: [true, false], [ElementType.float32, .bfloat16])
    func exportReturns(tied: Bool, type: ElementType) throws {
        let base = try TinyModel(tied: tied, elementType: type).write(to: folder.path("b.h5"))
        let state = try AdapterState.write(
            base, to: folder.path("s.h5"), targets: ["k_proj", "down_proj"], rows: [1, 4])
        let count = try PEFTExport.write(state, baseModel: "org/base", to: folder.path("lora"), overwrite: false)
        #expect(count == state.tensors(in: .adapter).count + (tied ? 1 : 2))
        let names = try folder.names(in: "lora")
        #expect(
            names == [
                "README.md", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja",
                "tokenizer.json", "tokenizer_config.json",
            ])
        let config = try JSON.parse(String(contentsOfFile: folder.path("lora/adapter_config.json"), encoding: .utf8))
        #expect(config["r"]?.int == 2 && config["lora_alpha"]?.int == 3 && config["peft_type"]?.string == "LORA")
        #expect(config["base_model_name_or_path"]?.string == "org/base")
        #expect(config["target_modules"] == ["k_proj", "down_proj"])
        #expect(config["trainable_token_indices"] == (tied ? [1, 4] : ["embed_tokens": [1, 4], "lm_head": [1, 4]]))
        let card = try String(contentsOfFile: folder.path("lora/README.md"), encoding: .utf8)
        #expect(card.contains("library_name: peft") && card.contains("base_model: org/base\n"))
        #expect(card.contains("PeftModel.from_pretrained(base, folder)"))
        let result = try Merge.run(
            base, adapter: PEFTAdapter(path: folder.path("lora")), to: folder.destination("merged.h5"))
        #expect(try open("merged.h5").weightsDigest == state.weightsDigest)
        #expect(result.notes.isEmpty)
        // An exported adapter can be replaced, another folder cannot.
        #expect(throws: ModelFormatError.self) {
            try PEFTExport.write(state, baseModel: nil, to: folder.path("lora"), overwrite: false)
        }
        _ = try PEFTExport.write(state, baseModel: nil, to: folder.path("lora"), overwrite: true)
        #expect(throws: ModelFormatError.self) {
            try PEFTExport.write(base, baseModel: nil, to: folder.path("other"), overwrite: false)
        }
    }

    // MARK: - Comparison

    /// The norms, from Gram matrices, are those of the products.
    @Test func norms() throws {
        let other = try AdapterState.write(base, to: folder.path("other.h5"), rows: [3, 5], rank: 3, seed: 9)
        let comparison = try #require(try CheckpointComparison.compare(state, other).adapters)
        #expect(comparison.modules.count == 4 && !comparison.isSame)
        #expect(comparison.modules.map(\.layer) == [0, 0, 1, 1])
        for module in comparison.modules {
            let change = try product(module.name, state)
            let otherChange = try product(module.name, other)
            func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }
            let apart = norm(zip(change, otherChange).map { $0 - $1 })
            #expect(abs((module.normA ?? 0) / norm(change) - 1) < 1e-9)
            #expect(abs((module.normB ?? 0) / norm(otherChange) - 1) < 1e-9)
            #expect(abs(module.difference / apart - 1) < 1e-9)
            let weight = try base.values(module.name + ".weight").map(Double.init)
            #expect(abs(module.weightNorm / norm(weight) - 1) < 1e-9)
            #expect(abs(module.relativeNorm / (norm(otherChange) / norm(weight)) - 1) < 1e-9)
        }
    }

    private func product(_ module: String, _ file: CheckpointFile) throws -> [Double] {
        func values(_ name: String) throws -> (values: [Double], shape: [Int]) {
            let tensor = try #require(file.tensor(name, in: .adapter))
            var values = [Float](repeating: 0, count: tensor.description.elementCount)
            try values.withUnsafeMutableBufferPointer { try file.readFloat32(name, in: .adapter, into: $0) }
            return (values.map(Double.init), tensor.description.shape)
        }
        let (a, b) = (try values(module + ".lora_A.weight"), try values(module + ".lora_B.weight"))
        let scaling = try #require(file.metadata.adapter).scaling
        return (0..<b.shape[0]).flatMap { row in
            (0..<a.shape[1]).map { column in
                scaling
                    * (0..<a.shape[0]).reduce(0) {
                        $0 + b.values[row * a.shape[0] + $1] * a.values[$1 * a.shape[1] + column]
                    }
            }
        }
    }

    @Test func comparisonWithoutAnAdapter() throws {
        let report = try CheckpointComparison.compare(base, state)
        let adapters = try #require(report.adapters)
        #expect(adapters.a == nil && adapters.b == state.metadata.adapter)
        #expect(adapters.modules.allSatisfy { $0.normA == nil && $0.difference == $0.normB })
        #expect(report.json["adapters"]?["modules"]?.array?.count == 4 && !report.isSame)
        let none = try CheckpointComparison.compare(base, base)
        #expect(none.adapters == nil && none.json["adapters"] == nil && none.isSame)
        let same = try CheckpointComparison.compare(state, state)
        #expect(same.isSame && same.adapters?.isSame == true)
        #expect(same.adapters?.modules.allSatisfy { $0.difference <= 1e-7 * ($0.normA ?? 0) } == true)
    }
}
