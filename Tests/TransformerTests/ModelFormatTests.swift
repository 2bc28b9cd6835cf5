import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing
import Transformer

/// Models written in the formats of other programs and read back compute the same.
@Suite struct ModelFormatTests {
    /// The weights of a fixture.
    private struct FixtureTensors: TensorSource {
        let tensors: [TensorDescription]
        let weights: [String: [Float]]

        init(_ fixture: Fixture) throws {
            weights = fixture.weights
            tensors = try fixture.configuration.parameters.map {
                TensorDescription(name: $0.name, elementType: .float32, shape: $0.shape)
            }
        }

        func read(_ name: String, range: Range<Int>, into destination: UnsafeMutableRawBufferPointer) throws {
            try #require(weights[name]).withUnsafeBytes {
                destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range]))
            }
        }
    }

    private static let families = ["llama", "mistral", "smollm3", "phi3", "phi3-longrope"]

    private func metadata(_ fixture: Fixture) throws -> CheckpointMetadata {
        var metadata = CheckpointMetadata(config: required(fixture.json["config"]?.string, "config"))
        if try fixture.configuration.tiesWordEmbeddings {
            metadata.tiedTensors = ["lm_head.weight": "model.embed_tokens.weight"]
        }
        return metadata
    }

    /// The largest relative error of the logits of an imported model.
    private func error(_ model: ImportedModel, _ fixture: Fixture) throws -> Float {
        let parameters = try ModelParameters(ModelConfiguration(json: model.metadata.config)) { description, into in
            try model.source.read(
                description.name, range: 0..<4 * description.elementCount, into: UnsafeMutableRawBufferPointer(into))
        }
        let batch = PackedBatch(fixture.sequences)
        let logits = Model(parameters).logits(batch, positions: Array(batch.tokens.indices))
        return relativeError(logits.flatMap { $0 }, fixture.lists("logits").flatMap { $0 })
    }

    @Test(arguments: families) func gguf(_ name: String) throws {
        try withTemporaryFolder { folder in
            let fixture = Fixture.named(name)
            let path = folder.appendingPathComponent("model.gguf").path
            try GGUFExport.write(
                try metadata(fixture), try FixtureTensors(fixture), to: path, overwrite: false, precision: .float32)
            let model = try ModelImport.open(path: path)
            #expect(try error(model, fixture) < 1e-4)
            let (read, given) = (try ModelConfiguration(json: model.metadata.config), try fixture.configuration)
            #expect(read.layerAttention == given.layerAttention && read.rotaryDimension == given.rotaryDimension)
            #expect(read.tiesWordEmbeddings == given.tiesWordEmbeddings && read.family == given.family)
        }
    }

    @Test(arguments: families + ["qwen2-untied", "qwen3", "qwen2-window", "qwen3-window", "smollm3-window"])
    func folder(_ name: String) throws {
        try withTemporaryFolder { folder in
            let fixture = Fixture.named(name)
            let path = folder.appendingPathComponent("model").path
            try HuggingFaceExport.write(try metadata(fixture), try FixtureTensors(fixture), to: path, overwrite: false)
            #expect(try error(try ModelImport.open(path: path), fixture) < 1e-4)
        }
    }

    /// What llama.cpp does not compute is not exported for it.
    @Test(arguments: [
        ("qwen2-window", "GGUF: a sliding window of qwen2, which llama.cpp does not apply, is not supported"),
        ("qwen3-window", "GGUF: a sliding window of qwen3, which llama.cpp does not apply, is not supported"),
        ("smollm3-window", "GGUF: a sliding window of smollm3, which llama.cpp does not apply, is not supported"),
    ]) func refusedAsGGUF(_ name: String, _ expected: String) throws {
        try withTemporaryFolder { folder in
            let fixture = Fixture.named(name)
            let path = folder.appendingPathComponent("model.gguf").path
            let failure = #expect(throws: ModelFormatError.self) {
                try GGUFExport.write(try metadata(fixture), try FixtureTensors(fixture), to: path, overwrite: false)
            }
            let refusal = try #require(failure)
            #expect("\(refusal)" == expected + "; export it as a Hugging Face folder")
        }
    }
}
