import CheckpointIO
import Foundation
import Surgery
import TestSupport
import Testing

@Suite struct MergeTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    func merge(
        _ models: [CheckpointFile], _ method: MergeMethod, _ weights: MergeWeights, base: CheckpointFile? = nil
    ) throws -> CheckpointFile {
        _ = try Merge.run(models, method: method, weights: weights, base: base, to: folder.destination("merged.h5"))
        return try CheckpointFile(path: folder.path("merged.h5"))
    }

    func models(_ shifts: [[String: Float]]) throws -> [CheckpointFile] {
        try shifts.enumerated().map {
            try TinyModel(elementType: .float32, shifts: $0.element).write(to: folder.path("\($0.offset).h5"))
        }
    }

    @Test func linearIsTheWeightedMean() throws {
        let parts = try models([[:], ["up_proj": 1]])
        let merged = try merge(parts, .linear, MergeWeights([3, 1]))
        let name = "model.layers.0.mlp.up_proj.weight"
        let old = try parts[0].values(name)
        for (found, start) in zip(try merged.values(name), old) { #expect(abs(found - start - 0.25) < 1e-6) }
        #expect(merged.tensor("model.norm.weight")?.sha256 == parts[0].tensor("model.norm.weight")?.sha256)
        #expect(try CheckpointComparison.compare(parts[0], merged).relation == .ancestor(operations: ["merge"]))
    }

    @Test func patternsHaveTheirOwnWeights() throws {
        let parts = try models([[:], ["_proj": 1]])
        let weights = MergeWeights([1, 1], byPattern: [(NamePattern("*.mlp.*"), [0, 1])])
        let merged = try merge(parts, .linear, weights)
        let mlp = "model.layers.1.mlp.down_proj.weight"
        #expect(try merged.values(mlp) == parts[1].values(mlp))
        let attention = "model.layers.1.self_attn.v_proj.weight"
        let start = try parts[0].values(attention)
        for (found, old) in zip(try merged.values(attention), start) { #expect(abs(found - old - 0.5) < 1e-6) }
    }

    @Test func slerpFollowsTheGreatCircle() throws {
        let parts = try models([[:], ["q_proj": 2]])
        let name = "model.layers.0.self_attn.q_proj.weight"
        let a = try parts[0].values(name).map(Double.init)
        let b = try parts[1].values(name).map(Double.init)
        for weight in [0.0, 0.3, 1.0] {
            let found = try merge(parts, .slerp, MergeWeights([1 - weight, weight])).values(name)
            func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }
            let angle = acos(zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } / (norm(a) * norm(b)))
            for index in a.indices {
                let wanted = (sin(angle * (1 - weight)) * a[index] + sin(angle * weight) * b[index]) / sin(angle)
                #expect(abs(Double(found[index]) - wanted) < 1e-5)
            }
        }
    }

    @Test func taskArithmeticAddsTheDifferences() throws {
        let files = try models([[:], ["up_proj": 1], ["down_proj": 1]])
        let merged = try merge(Array(files[1...]), .taskArithmetic, MergeWeights([0.5, 2]), base: files[0])
        for (name, step) in [
            ("model.layers.0.mlp.up_proj.weight", Float(0.5)), ("model.layers.0.mlp.down_proj.weight", 2),
            ("model.norm.weight", 0),
        ] {
            for (found, start) in zip(try merged.values(name), try files[0].values(name)) {
                #expect(abs(found - start - step) < 1e-5)
            }
        }
    }

    @Test func rejectsMismatchedModelsAndWeights() throws {
        let parts = try models([[:], [:]])
        for (weights, reason) in [
            ([1.0], "expected one weight for each of 2 models, found 1"),
            ([1.0, -1.0], "the weights sum to 0; linear needs another sum"),
        ] {
            #expect(throws: SurgeryError.badOption(name: "--weight", reason: reason)) {
                try merge(parts, .linear, MergeWeights(weights))
            }
        }
        #expect(throws: SurgeryError.self) { try merge(parts, .slerp, MergeWeights([0, 2])) }
        #expect(throws: SurgeryError.self) { try merge(parts, .taskArithmetic, MergeWeights([1, 1])) }
        let wider = try TinyModel(padding: 5).write(to: folder.path("wider.h5"))
        #expect(throws: SurgeryError.self) { try merge([parts[0], wider], .linear, MergeWeights([1, 1])) }
    }
}
