import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Adapters in checkpoints: what is written is read back, and what does not fit the weights is refused.
@Suite struct AdapterRecordTests {
    private static let digest = String(repeating: "0123456789abcdef", count: 4)

    /// An adapter of rank 4 on one module, with two trained rows.
    static func record() -> AdapterRecord {
        AdapterRecord(
            rank: 4, alpha: 8.5, usesRankStabilizedScaling: true, dropout: 0.125, targets: ["q_proj"], rows: [3, 199],
            baseDigest: digest, basePath: "models/größe.h5")
    }

    static func metadata(_ record: AdapterRecord? = record()) -> CheckpointMetadata {
        CheckpointMetadata(
            kind: .training, step: 3, config: "{}",
            optimizer: OptimizerRecord(step: 3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8), adapter: record,
            trainingState: "{}")
    }

    static let module = "model.layers.0.self_attn.q_proj"

    private static func tensor(_ name: String, _ shape: [Int], _ group: TensorGroup = .weights) -> TensorToWrite {
        let count = shape.reduce(1, *)
        return Samples.tensor(name, .float32, shape, Samples.weights(.float32, count, seed: UInt64(count)), group)
    }

    static func tensors() -> [TensorToWrite] {
        [
            tensor("model.embed_tokens.weight", [200, 6]), tensor("\(module).weight", [10, 6]),
            tensor("model.norm.weight", [6]), tensor("\(module).lora_A.weight", [4, 6], .adapter),
            tensor("\(module).lora_B.weight", [10, 4], .adapter), tensor("\(module).weight", [10, 6], .base),
            tensor("model.embed_tokens.weight", [2, 6], .base),
            tensor("\(module).lora_A.weight", [4, 6], .optimizerM),
        ]
    }

    @Test func scaling() {
        var record = Self.record()
        #expect(record.scaling == 8.5 / 2)
        record.usesRankStabilizedScaling = false
        #expect(record.scaling == 8.5 / 4)
    }

    @Test func roundTrip() throws {
        try withTemporaryPath { folder in
            let path = folder + "/adapter.h5"
            let written = try CheckpointWriter.write(
                Self.metadata(), tensors: Self.tensors(), to: path, overwrite: false)
            let file = try CheckpointFile(path: path)
            #expect(file.metadata == Self.metadata())
            #expect(file.digest == written.digest)
            #expect(try file.verify().isEmpty)
            #expect(file.tensors(in: .adapter).map(\.description.shape) == [[4, 6], [10, 4]])
            #expect(file.tensors(in: .base).map(\.description.shape) == [[2, 6], [10, 6]])
            // The adapter is part of the state's digest, and not of the weights'.
            let plain = folder + "/plain.h5"
            var metadata = Self.metadata(nil)
            metadata.optimizer = nil
            _ = try CheckpointWriter.write(
                metadata, tensors: Self.tensors().filter { $0.group == .weights }, to: plain, overwrite: false)
            let model = try CheckpointFile(path: plain)
            #expect(model.weightsDigest == file.weightsDigest)
            #expect(model.weightsDigest == model.digest && model.digest != file.digest)
        }
    }

    /// A change of the record or the tensors, and the place and words of the refusal.
    struct Lie: CustomStringConvertible {
        let place: String
        let problem: String
        var edit: @Sendable (inout AdapterRecord, inout [TensorToWrite]) -> Void
        var description: String { "\(place): \(problem)" }

        init(
            _ place: String, _ problem: String,
            _ edit: @escaping @Sendable (inout AdapterRecord, inout [TensorToWrite]) -> Void
        ) {
            (self.place, self.problem, self.edit) = (place, problem, edit)
        }
    }

    private static let config = "/adapter_config"
    private static let path = "model/layers/0/self_attn/q_proj"

    private static let lies = [
        Lie(config, "rank") { record, _ in record.rank = 0 },
        Lie(config, "rank") { record, _ in record.rank = .max },
        Lie(config, "JSON") { record, _ in record.alpha = .nan },
        Lie(config, "alpha") { record, _ in record.alpha = 0 },
        Lie(config, "alpha") { record, _ in record.alpha = -1 },
        Lie(config, "dropout") { record, _ in record.dropout = 1 },
        Lie(config, "dropout") { record, _ in record.dropout = -0.5 },
        Lie(config, "no targets") { record, _ in record.targets = [] },
        Lie(config, "twice") { record, _ in record.targets = ["q_proj", "q_proj"] },
        Lie(config, "not a module") { record, _ in record.targets = ["q_proj", ""] },
        Lie(config, "not a module") { record, _ in record.targets = ["self_attn.q_proj"] },
        Lie(config, "no tensor is of v_proj") { record, _ in record.targets = ["q_proj", "v_proj"] },
        Lie(config, "not ascending") { record, _ in record.rows = [199, 3] },
        Lie(config, "not ascending") { record, _ in record.rows = [3, 3] },
        Lie(config, "negative") { record, _ in record.rows = [-1, 3] },
        Lie(config, "row 200") { record, _ in record.rows = [3, 200] },
        Lie(config, "base_digest") { record, _ in record.baseDigest = "abc" },
        Lie(config, "base_digest") { record, _ in record.baseDigest = String(repeating: "A", count: 64) },
        Lie(config, "base_path") { record, _ in record.basePath = "" },
        Lie(config, "base_path") { record, _ in record.basePath = "a\0b" },
        Lie("/adapter/\(path)/lora_A/weight", "[5, 6]") { record, _ in record.rank = 5 },
        Lie("/adapter/\(path)/lora_B/weight", "[10, 4]") { _, tensors in tensors[4].description.shape = [4, 10] },
        Lie("/adapter/\(path)/lora_A/weight", "floating-point") { _, tensors in
            tensors[3].description.elementType = .int32
        },
        Lie("/adapter/\(path)", "only one") { _, tensors in tensors.remove(at: 4) },
        Lie("/adapter/\(path)/lora_A/weight", "none of the targets") { record, _ in record.targets = ["k_proj"] },
        Lie("/adapter/\(path)/lora_C/weight", "neither") { _, tensors in
            tensors[4].description.name = "\(module).lora_C.weight"
        },
        Lie("/adapter/\(path)/lora_A/weight", "no matrix") { _, tensors in tensors.remove(at: 1) },
        Lie("/base/\(path)/weight", "is missing") { _, tensors in tensors.remove(at: 5) },
        Lie("/base/\(path)/weight", "[10, 6]") { _, tensors in tensors[5].description.shape = [6, 10] },
        Lie("/base/model/embed_tokens/weight", "[2, 6]") { _, tensors in tensors[6].description.shape = [3, 4] },
        Lie("/base/model/embed_tokens/weight", "not changed") { record, _ in record.rows = [] },
        Lie("/base/model/norm/weight", "not changed") { _, tensors in
            tensors[6].description.name = "model.norm.weight"
        },
    ]

    @Test(arguments: lies) func theWriterRefuses(_ lie: Lie) throws {
        try withTemporaryPath { folder in
            var record = Self.record()
            var tensors = Self.tensors()
            lie.edit(&record, &tensors)
            let error = #expect(throws: CheckpointError.self) {
                try CheckpointWriter.write(
                    Self.metadata(record), tensors: tensors, to: folder + "/lie.h5", overwrite: false)
            }
            guard case .invalid(let place, let problem) = error else {
                Issue.record("\(lie): \(String(describing: error))")
                return
            }
            #expect(place == lie.place && problem.contains(lie.problem), "\(lie): \(place): \(problem)")
        }
    }

    @Test func tensorsNeedARecord() throws {
        try withTemporaryPath { folder in
            _ = #expect(throws: CheckpointError.self) {
                try CheckpointWriter.write(
                    Self.metadata(nil), tensors: Self.tensors(), to: folder + "/lie.h5", overwrite: false)
            }
        }
    }

    /// Texts of the same length in the place of others, in a file whose digests are not checked.
    private static let forgeries = [
        (#""r":4"#, #""r":5"#, "lora_A"), (#""r":4"#, #""r":0"#, "rank"), (#""r":4"#, #""R":4"#, "JSON object"),
        (#""lora_alpha":8.5"#, #""lora_alpha":-.5"#, "JSON object"), (#"[3,199]"#, #"[3,899]"#, "row 899"),
        (#"["q_proj"]"#, #"["k_proj"]"#, "targets"), (#"["q_proj"]"#, #"[12345678]"#, "not a text"),
        (#"[3,199]"#, #"["3",9]"#, "not an integer"), (#"true"#, #"null"#, "JSON object"),
        ("0123456789abcdef0123", "0123456789ABCDEF0123", "base_digest"),
    ]

    @Test(arguments: forgeries) func theReaderRefuses(_ truth: String, _ lie: String, _ problem: String) throws {
        try withTemporaryPath { folder in
            let path = folder + "/adapter.h5"
            _ = try CheckpointWriter.write(Self.metadata(), tensors: Self.tensors(), to: path, overwrite: false)
            var bytes = try Data(contentsOf: URL(filePath: path))
            let range = try #require(bytes.range(of: Data(truth.utf8)))
            bytes.replaceSubrange(range, with: Data(lie.utf8))
            try bytes.write(to: URL(filePath: path))
            let error = #expect(throws: CheckpointError.self) {
                try CheckpointFile(path: path, checkingDigests: false)
            }
            guard case .damaged(_, let place, let found) = error else {
                Issue.record("\(lie): \(String(describing: error))")
                return
            }
            #expect("\(place) \(found)".contains(problem), "\(lie): \(place): \(found)")
        }
    }
}
