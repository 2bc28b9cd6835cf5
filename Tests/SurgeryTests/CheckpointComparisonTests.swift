import CheckpointIO
import OrderedJSON
import Surgery
import TestSupport
import Testing

@Suite struct CheckpointComparisonTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func aModelEqualsItself() throws {
        let a = try TinyModel().write(to: folder.path("a.h5"))
        let b = try TinyModel(step: 5).write(to: folder.path("b.h5"))
        let report = try CheckpointComparison.compare(a, b)
        #expect(report.isSame)
        #expect(report.sameArchitecture)
        #expect(report.relation == .sameState)
        #expect(report.tensors.allSatisfy { $0.status == .identical })
        #expect(report.total.identicalFraction == 1)
        #expect(report.changed.isEmpty)
    }

    @Test func findsChangedTensors() throws {
        let a = try TinyModel(elementType: .float32).write(to: folder.path("a.h5"))
        let b = try TinyModel(elementType: .float32, shifts: ["layers.1.self_attn.q_proj": 0.5]).write(
            to: folder.path("b.h5"))
        let report = try CheckpointComparison.compare(a, b)
        #expect(!report.isSame)
        #expect(report.sameArchitecture)
        #expect(report.changed.map(\.name) == ["model.layers.1.self_attn.q_proj.weight"])
        let moved = try #require(report.changed.first)
        let statistics = try #require(moved.statistics)
        #expect(abs(statistics.differenceNorm - 0.5 * 16) < 1e-3)
        #expect(statistics.identicalFraction == 0)
        #expect(moved.largestIndex.count == 2)
        #expect(moved.role == .q)
        #expect(moved.layer == 1)
        let cell = try #require(report.cells.first { $0.layer == 1 && $0.role == .q })
        #expect(cell.statistics.relativeChange == statistics.relativeChange)
        #expect(report.cells.first { $0.layer == 0 && $0.role == .q }?.statistics.identicalFraction == 1)
    }

    @Test func comparesCommonRows() throws {
        let a = try TinyModel().write(to: folder.path("a.h5"))
        var options = AddTokensOptions()
        options.measuresDivergence = false
        _ = try AddTokens.run(a, options, to: folder.destination("b.h5"))
        let b = try CheckpointFile(path: folder.path("b.h5"))
        let report = try CheckpointComparison.compare(a, b)
        #expect(report.relation == .ancestor(operations: ["add-tokens"]))
        #expect(report.sameArchitecture)
        #expect(report.changed.map(\.status) == [.resized])
        let embedding = try #require(report.changed.first)
        #expect(embedding.statistics?.identicalFraction == 1)
        #expect(embedding.rowChanges?.count == 259)
        #expect(report.config.map(\.path) == ["vocab_size"])
        #expect(report.tokenizer.tokens.map(\.content) == ["<think>", "</think>", "<short>"])
        #expect(report.tokenizer.tokens.map(\.idA) == [nil, nil, nil])
        #expect(report.tokenizer.tokens.map(\.idB) == [259, 260, 261])
        #expect(report.tokenizer.parts.isEmpty)
        #expect(report.controlTokens.map(\.name) == ["<think>", "</think>", "<short>"])
        #expect(report.controlTokens.allSatisfy { $0.embedding?.normA == nil && $0.embedding?.normB != nil })
        #expect(report.controlTokens.allSatisfy { $0.head == nil })
        let back = try CheckpointComparison.compare(b, a)
        #expect(back.relation == .descendant(operations: ["add-tokens"]))
    }

    @Test func comparesDifferentStorageTypes() throws {
        let a = try TinyModel(elementType: .float32).write(to: folder.path("a.h5"))
        let b = try TinyModel(elementType: .bfloat16).write(to: folder.path("b.h5"))
        let report = try CheckpointComparison.compare(a, b)
        #expect(report.tensors.allSatisfy { $0.status == .retyped })
        #expect(report.total.relativeChange < 0.01)
        #expect(report.total.relativeChange > 0)
    }

    @Test func findsAddedTensors() throws {
        let a = try TinyModel(tied: true).write(to: folder.path("a.h5"))
        let b = try TinyModel(tied: false).write(to: folder.path("b.h5"))
        let report = try CheckpointComparison.compare(a, b)
        #expect(!report.sameArchitecture)
        #expect(!report.sameTies)
        #expect(report.tensors.first { $0.name == "lm_head.weight" }?.status == .added)
        #expect(report.config.map(\.path) == ["tie_word_embeddings"])
    }

    @Test func comparesSelectedTensorsOnly() throws {
        let a = try TinyModel().write(to: folder.path("a.h5"))
        var options = ComparisonOptions()
        let pattern = NamePattern("*.q_proj.*")
        options.includesTensor = { pattern.matches($0) }
        let report = try CheckpointComparison.compare(a, a, options: options)
        #expect(report.tensors.map(\.role) == [.q, .q])
    }

    @Test func comparesOptimizers() throws {
        let a = try TinyModel(hasOptimizer: true).write(to: folder.path("a.h5"))
        let b = try TinyModel(hasOptimizer: true, shifts: ["embed": 0.25]).write(to: folder.path("b.h5"))
        let report = try CheckpointComparison.compare(a, b)
        let optimizer = try #require(report.optimizer)
        #expect(optimizer.a?.step == 7)
        #expect(try #require(optimizer.firstMoments).differenceNorm > 0)
        #expect(try CheckpointComparison.compare(a, a).optimizer?.firstMoments?.identicalFraction == 1)
    }

    @Test func readsModePreferenceAndMetricsFromTheFiles() throws {
        var before = TinyModel(step: 1)
        before.probes = [
            ProbeTable(
                prompts: ["a", "b", "c"], levels: ["1", "10", "2"], steps: [0, 1],
                pThink: [[0.5, 0.5, 0.5], [0.6, 0.6, 0.6]], pShort: [[0.5, 0.5, 0.5], [0.4, 0.4, 0.4]])
        ]
        var after = TinyModel(step: 3, shifts: ["norm": 0.5])
        after.probes = [
            ProbeTable(
                prompts: ["a", "b", "c"], levels: ["1", "10", "2"], steps: [0, 1, 3],
                pThink: [[0.5, 0.5, 0.5], [0.6, 0.6, 0.6], [0.1, 0.95, 0.8]],
                pShort: [[0.5, 0.5, 0.5], [0.4, 0.4, 0.4], [0.9, 0.05, 0.2]])
        ]
        before.history = ["rl": Self.history(1)]
        after.history = ["rl": Self.history(3)]
        let a = try before.write(to: folder.path("a.h5"))
        let b = try after.write(to: folder.path("b.h5"))
        let report = try CheckpointComparison.compare(a, b)
        let change = try #require(report.modePreference)
        #expect(change.stepA == 1)
        #expect(change.stepB == 3)
        #expect(change.levels.map(\.name) == ["1", "2", "10"])
        #expect(abs(change.meanThinkA - 0.6) < 1e-12)
        #expect(change.changedSides.map(\.text) == ["a"])
        #expect(change.histogram().b == [0, 1, 0, 0, 0, 0, 0, 0, 1, 1])
        #expect(report.metrics.map(\.name) == ["num_think", "num_short", "reward_mean"])
        #expect(report.metrics.first?.steps == [2, 3])
        #expect(report.metrics.first?.values == [20, 30])
        let json = try JSON.parse(report.json.serialized())
        #expect(json["mode_preference"]?["changed_sides"]?.int == 1)
        #expect(json["same"]?.bool == false)
    }

    static func history(_ steps: Int) -> MetricHistory {
        var history = MetricHistory()
        for step in 1...steps {
            history.append([
                ("step", Double(step)), ("num_think", Double(step * 10)), ("num_short", Double(100 - step * 10)),
                ("reward_mean", 0.5),
            ])
        }
        return history
    }
}
