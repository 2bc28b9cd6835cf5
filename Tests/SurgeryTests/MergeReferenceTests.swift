import CheckpointIO
import Foundation
import OrderedJSON
import Surgery
import TestSupport
import Testing

/// Compares merges with those of mergekit (Fixtures/make_merge.py).
@Suite struct MergeReferenceTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    static let fixture: JSON = {
        let path = fixturesFolder().appending(path: "merge.json")
        return (try? JSON.parse([UInt8](Data(contentsOf: path)))) ?? .null
    }()

    func write(_ values: [Float], _ name: String) throws -> CheckpointFile {
        let metadata = CheckpointMetadata(
            kind: .model, step: 0, createdBy: "test", config: "{}", generationConfig: nil, chatTemplate: nil,
            tokenizer: nil, tiedTensors: [:], optimizer: nil, trainingState: nil, history: [:], probes: [], lineage: [])
        let tensor = try TinyModel.tensor(.weights, "w", [6, 10], values, .float32)
        _ = try CheckpointWriter.write(metadata, tensors: [tensor], to: folder.path(name), overwrite: true)
        return try CheckpointFile(path: folder.path(name))
    }

    @Test(arguments: 0..<16)
    func agreesWithMergekit(number: Int) throws {
        let entry = try #require(Self.fixture["cases"]?.array?[number])
        func floats(_ json: JSON?) -> [Float] { json?.array?.compactMap(\.double).map { Float($0) } ?? [] }
        let method = try #require(entry["method"]?.string.flatMap(MergeMethod.init(rawValue:)))
        let weights = entry["weights"]?.array?.compactMap(\.double) ?? []
        let models = try (entry["models"]?.array ?? []).enumerated().map {
            try write(floats($0.element), "\($0.offset).h5")
        }
        let base = try entry["base"].map { try write(floats($0), "base.h5") }
        _ = try Merge.run(
            models, method: method, weights: MergeWeights(weights), base: base, to: folder.destination("merged.h5"))
        let found = try CheckpointFile(path: folder.path("merged.h5")).values("w")
        let wanted = floats(entry["result"])
        try #require(found.count == wanted.count)
        for (a, b) in zip(found, wanted) { #expect(abs(a - b) <= 1e-6 * max(abs(b), 0.01)) }
    }
}
