import CheckpointIO
import Foundation

/// Checkpoints for the tests.
enum Samples {
    /// Metadata that uses every part of the format.
    static func metadata() -> CheckpointMetadata {
        var history = MetricHistory()
        history.append([("step", 1), ("loss", 2.5), ("acc", 0.25)])
        history.append([("step", 2), ("loss", 2.25), ("p_think", 0.5)])
        let first = ProbeTable(
            prompts: ["What is 1+1?", "Prove that √2 is irrational."], levels: ["1", "5"], steps: [0, 10],
            pThink: [[0.25, 0.5], [0.125, 0.75]], pShort: [[0.5, 0.25], [0.875, 0.125]])
        let second = ProbeTable(prompts: ["Another"], levels: [""])
        let tokens = [
            AddedTokenRecord(id: 300, content: "<think>", special: true, trained: false),
            AddedTokenRecord(id: 301, content: "</think>", special: true, trained: true),
        ]
        return CheckpointMetadata(
            kind: .training, step: 10, createdBy: "ckpt 0.1.0", config: #"{"model_type": "llama"}"#,
            generationConfig: #"{"eos_token_id": [1, 2]}"#, chatTemplate: "{{ 'é → 世界' }}\n",
            tokenizer: TokenizerRecord(
                json: Array(#"{"version": "1.0"}"#.utf8), config: "{}", addedTokens: tokens, thinkID: 300,
                thinkEndID: 301, shortID: 302),
            tiedTensors: ["lm_head.weight": "model.embed_tokens.weight"],
            optimizer: OptimizerRecord(step: 10, beta1: 0.9, beta2: 0.95, epsilon: 1e-8),
            trainingState: #"{"seed": 1}"#, history: ["sft": history], probes: [first, second],
            lineage: [
                LineageEntry(operation: "import", parent: nil, tool: "ckpt 0.1.0").text,
                LineageEntry(operation: "train-sft", parent: "abc", tool: "ckpt 0.1.0").text,
            ])
    }

    /// Pseudo-random bytes, the same on every run.
    static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
        return (0..<count).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state >> 32)
        }
    }

    /// Elements near zero with the distribution of weights.
    static func weights(_ type: ElementType, _ count: Int, seed: UInt64) -> [UInt8] {
        let noise = bytes(count * 4, seed: seed)
        var values = [Float](repeating: 0, count: count)
        for index in 0..<count {
            let sum = (0..<4).reduce(0) { $0 + Float(noise[4 * index + $1]) }
            values[index] = (sum - 510) / 8192
        }
        var result = [UInt8](repeating: 0, count: count * type.byteCount)
        values.withUnsafeBufferPointer { values in
            result.withUnsafeMutableBytes { try? ElementConversion.fromFloat32(values, type, into: $0) }
        }
        return result
    }

    static func tensor(
        _ name: String, _ type: ElementType, _ shape: [Int], _ bytes: [UInt8], _ group: TensorGroup = .weights
    ) -> TensorToWrite {
        TensorToWrite(
            group: group, description: TensorDescription(name: name, elementType: type, shape: shape),
            content: .bytes { range, target in
                bytes.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
            })
    }

    /// Tensors with every kind of storage: several chunks with padding, one chunk, contiguous, empty, scalar.
    static func tensors() -> [(TensorToWrite, bytes: [UInt8])] {
        func make(
            _ name: String, _ type: ElementType, _ shape: [Int], _ bytes: [UInt8], _ group: TensorGroup = .weights
        ) -> (TensorToWrite, bytes: [UInt8]) {
            (tensor(name, type, shape, bytes, group), bytes)
        }
        return [
            make("model.embed_tokens.weight", .bfloat16, [3001, 576], weights(.bfloat16, 3001 * 576, seed: 1)),
            make("model.layers.0.mlp.weight", .float32, [700, 300], weights(.float32, 700 * 300, seed: 2)),
            make("model.layers.0.wide", .float32, [3, 400_000], weights(.float32, 1_200_000, seed: 3)),
            make("model.layers.0.cube", .float16, [70, 30, 50], weights(.float16, 105_000, seed: 4)),
            make("model.layers.10.doubles", .float64, [50_000], bytes(400_000, seed: 5)),
            make("model.norm.weight", .bfloat16, [576], weights(.bfloat16, 576, seed: 6)),
            make("model.scalar", .float32, [], bytes(4, seed: 7)),
            make("model.empty", .int32, [0, 7], []),
            make("model.mask", .bool, [40_000], bytes(40_000, seed: 8).map { $0 & 1 }),
            make("model.ids", .int64, [9000], bytes(72_000, seed: 9)),
            make("model.zeros", .float32, [600, 600], [UInt8](repeating: 0, count: 1_440_000)),
            make("model.embed_tokens.weight", .float32, [100, 100], bytes(40_000, seed: 10), .optimizerM),
            make("model.embed_tokens.weight", .float32, [100, 100], bytes(40_000, seed: 11), .optimizerV),
        ]
    }

    /// A few small tensors, contiguous and chunked, for tests that open the file very often.
    static func smallTensors() -> [TensorToWrite] {
        [
            tensor("model.embed_tokens.weight", .bfloat16, [200, 100], weights(.bfloat16, 20_000, seed: 21)),
            tensor("model.layers.0.weight", .float32, [100, 100], weights(.float32, 10_000, seed: 22)),
            tensor("model.norm.weight", .float32, [100], weights(.float32, 100, seed: 23)),
            tensor("model.embed_tokens.weight", .float32, [10, 10], bytes(400, seed: 24), .optimizerM),
        ]
    }

    /// Writes the sample and returns its path.
    @discardableResult
    static func write(
        to folder: String, _ name: String = "sample.h5", tensors: [TensorToWrite] = tensors().map(\.0)
    ) throws -> String {
        let path = folder + "/" + name
        _ = try CheckpointWriter.write(metadata(), tensors: tensors, to: path, overwrite: false)
        return path
    }
}
