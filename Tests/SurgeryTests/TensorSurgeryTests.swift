import CheckpointIO
import OrderedJSON
import Surgery
import TestSupport
import Testing
import Tokenization

@Suite struct TensorSurgeryTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    func open(_ name: String) throws -> CheckpointFile { try CheckpointFile(path: folder.path(name)) }

    @Test func stripDropsTheOptimizerAndKeepsTheHistory() throws {
        var model = TinyModel(hasOptimizer: true)
        model.history = ["sft": CheckpointComparisonTests.history(3)]
        let before = try model.write(to: folder.path("a.h5"))
        let result = try Strip.run(before, to: folder.destination("b.h5"))
        let after = try open("b.h5")
        #expect(after.metadata.kind == .model)
        #expect(after.metadata.optimizer == nil)
        #expect(after.tensors(in: .optimizerM).isEmpty)
        #expect(after.metadata.history["sft"]?.rowCount == 3)
        #expect(result.writtenTensorCount == 0)
        #expect(after.tensors().map(\.sha256) == before.tensors().map(\.sha256))
        let entry = try #require(after.metadata.lineage.last.flatMap(LineageEntry.init(text:)))
        #expect(entry.operation == "strip")
        #expect(entry.parent == before.digest)
        #expect(entry.report["dropped_tensors"]?.int == before.tensors().count * 2)
    }

    @Test func renameMovesWeightsMomentsAndTies() throws {
        let before = try TinyModel(hasOptimizer: true).write(to: folder.path("a.h5"))
        let rules = [try Rename.Rule("model.layers.*.mlp.*", "model.layers.*.feed.*")]
        _ = try Rename.run(before, rules, to: folder.destination("b.h5"))
        let after = try open("b.h5")
        #expect(
            after.tensor("model.layers.1.feed.up_proj.weight")?.sha256
                == before.tensor("model.layers.1.mlp.up_proj.weight")?.sha256)
        #expect(after.tensor("model.layers.1.feed.up_proj.weight", in: .optimizerV) != nil)
        #expect(after.tensor("model.layers.1.mlp.up_proj.weight") == nil)
        #expect(after.tensors().count == before.tensors().count)
        let back = [try Rename.Rule("*.feed.*", "*.mlp.*")]
        _ = try Rename.run(after, back, to: folder.destination("c.h5"))
        #expect(try open("c.h5").digest == before.digest)
        let tied = [try Rename.Rule("model.embed_tokens.weight", "embedding")]
        _ = try Rename.run(before, tied, to: folder.destination("d.h5"))
        #expect(try open("d.h5").metadata.tiedTensors == ["lm_head.weight": "embedding"])
    }

    @Test func renameRejectsCollisionsAndUnmatchedRules() throws {
        let before = try TinyModel().write(to: folder.path("a.h5"))
        #expect(throws: SurgeryError.self) {
            try Rename.run(before, [Rename.Rule("*.q_proj.weight", "q")], to: folder.destination("b.h5"))
        }
        #expect(throws: SurgeryError.self) {
            try Rename.run(before, [Rename.Rule("nothing.*", "x.*")], to: folder.destination("b.h5"))
        }
        #expect(
            throws: SurgeryError.badOption(
                name: "rename", reason: "a.*.* has more * than a.*; leave out the additional ones")
        ) { try Rename.Rule("a.*", "a.*.*") }
    }

    @Test func extractAndGraft() throws {
        let a = try TinyModel().write(to: folder.path("a.h5"))
        let b = try TinyModel(shifts: ["q_proj": 1, "k_proj": 1]).write(to: folder.path("b.h5"))
        let pattern = [NamePattern("*.q_proj.weight")]
        _ = try Graft.extract(b, matching: pattern, to: folder.destination("part.h5"))
        let part = try open("part.h5")
        #expect(part.tensors().count == 2)
        let result = try Graft.run(a, from: part, matching: pattern, to: folder.destination("c.h5"))
        #expect(result.writtenTensorCount == 0)
        let c = try open("c.h5")
        let changed = try CheckpointComparison.compare(a, c).changed.map(\.name)
        #expect(
            changed.sorted() == ["model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.q_proj.weight"])
        #expect(
            c.tensor("model.layers.0.self_attn.q_proj.weight")?.sha256
                == b.tensor("model.layers.0.self_attn.q_proj.weight")?.sha256)
        #expect(throws: SurgeryError.self) {
            try Graft.extract(b, matching: [NamePattern("*.z_proj")], to: folder.destination("d.h5"))
        }
    }

    @Test func castConvertsWeightsAndUpdatesTheConfig() throws {
        let before = try TinyModel(elementType: .float32, hasOptimizer: true).write(to: folder.path("a.h5"))
        let result = try Cast.run(before, as: .bfloat16, matching: NamePattern("*"), to: folder.destination("b.h5"))
        let after = try open("b.h5")
        #expect(result.writtenTensorCount == before.tensors().count)
        for tensor in after.tensors() {
            #expect(tensor.description.elementType == .bfloat16)
            let old = try before.values(tensor.description.name)
            let new = try after.values(tensor.description.name)
            #expect(new == old.map { Float(bitPattern: UInt32(ElementConversion.float32ToBFloat16($0)) << 16) })
        }
        #expect(
            after.tensors(in: .optimizerM).map(\.sha256) == before.tensors(in: .optimizerM).map(\.sha256))
        _ = try Cast.run(after, as: .float32, matching: NamePattern("*norm*"), to: folder.destination("c.h5"))
        let mixed = try open("c.h5")
        #expect(mixed.tensor("model.norm.weight")?.description.elementType == .float32)
        #expect(mixed.tensor("model.layers.0.mlp.up_proj.weight")?.description.elementType == .bfloat16)
    }

    @Test func castRejectsOverflowsAndIntegerTypes() throws {
        let before = try TinyModel(elementType: .float32, shifts: ["up_proj": 70000]).write(to: folder.path("a.h5"))
        #expect(throws: (any Error).self) {
            try Cast.run(before, as: .float16, matching: NamePattern("*"), to: folder.destination("b.h5"))
        }
        #expect(throws: SurgeryError.self) {
            try Cast.run(before, as: .int8, matching: NamePattern("*"), to: folder.destination("b.h5"))
        }
    }

    @Test func resizePadsAndNeverShrinks() throws {
        let before = try TinyModel(tied: false, hasOptimizer: true).write(to: folder.path("a.h5"))
        _ = try ResizeVocabulary.run(before, toMultipleOf: 64, to: folder.destination("b.h5"))
        let after = try open("b.h5")
        for name in ["model.embed_tokens.weight", "lm_head.weight"] {
            #expect(after.tensor(name)?.description.shape == [320, 16])
            let old = try before.values(name)
            let new = try after.values(name)
            #expect(Array(new.prefix(old.count)) == old)
            let mean = (0..<16).map { column in
                stride(from: column, to: old.count, by: 16).reduce(Float(0)) { $0 + old[$1] } / 259
            }
            for (found, wanted) in zip(new.suffix(16), mean) { #expect(abs(found - wanted) < 1e-3) }
            #expect(try after.values(name, in: .optimizerM).suffix(16).allSatisfy { $0 == 0 })
        }
        #expect(try JSON.parse(after.metadata.config)["vocab_size"]?.int == 320)
        let same = try ResizeVocabulary.run(after, toMultipleOf: 32, to: folder.destination("c.h5"))
        #expect(same.writtenTensorCount == 0)
        #expect(same.digest == after.digest)
        #expect(throws: SurgeryError.self) {
            try ResizeVocabulary.run(before, toMultipleOf: 0, to: folder.destination("d.h5"))
        }
    }
}
