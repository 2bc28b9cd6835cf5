import CheckpointIO
import Foundation
import Surgery
import TestSupport
import Testing

/// Comparisons of models in different formats, read in place.
@Suite struct FormatComparisonTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// A model of one layer with rows of 64 elements, as a checkpoint, a Hugging Face folder and a GGUF file.
    private func models() throws -> (checkpoint: CheckpointFile, folder: String, gguf: String) {
        let config = """
            {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 96,
             "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 40,
             "max_position_embeddings": 256, "rms_norm_eps": 1e-05, "tie_word_embeddings": true}
            """
        let tensors = try ModelConfiguration(json: config).parameters.map { parameter in
            try TinyModel.tensor(
                .weights, parameter.name, parameter.shape,
                TinyModel.values(parameter.name, count: parameter.shape.reduce(1, *)), .bfloat16)
        }
        let metadata = CheckpointMetadata(
            config: config, tiedTensors: ["lm_head.weight": "model.embed_tokens.weight"])
        _ = try CheckpointWriter.write(metadata, tensors: tensors, to: folder.path("model.h5"), overwrite: true)
        let file = try CheckpointFile(path: folder.path("model.h5"))
        let source = CheckpointTensors(file)
        try HuggingFaceExport.write(file.metadata, source, to: folder.path("hf"), overwrite: true)
        try GGUFExport.write(
            file.metadata, source, to: folder.path("model.gguf"), overwrite: true, precision: .q80)
        return (file, folder.path("hf"), folder.path("model.gguf"))
    }

    private func values(_ file: CheckpointFile, _ name: String) throws -> [Float] {
        var values = [Float](repeating: 0, count: try #require(file.tensor(name)).description.elementCount)
        try values.withUnsafeMutableBufferPointer { try file.readFloat32(name, into: $0) }
        return values
    }

    @Test func theFolderOfACheckpointHasEqualTensors() throws {
        let (checkpoint, path, _) = try models()
        let other = try ModelReader.open(path)
        for (a, b) in [(checkpoint, other), (other, checkpoint), (other, other)] {
            let report = try CheckpointComparison.compare(a, b)
            #expect(report.tensors.allSatisfy { $0.status == .identical && $0.worstBlock == nil })
            #expect(report.total.identicalFraction == 1)
        }
        // No digests are not equal digests.
        #expect(try CheckpointComparison.compare(other, other).relation == .unrelated)
    }

    @Test func oneChangedElementIsFound() throws {
        let (checkpoint, path, _) = try models()
        let weights = URL(filePath: path + "/model.safetensors")
        var bytes = try Data(contentsOf: weights)
        bytes[bytes.count - 1] ^= 0x40
        try bytes.write(to: weights)
        let changed = try CheckpointComparison.compare(checkpoint, try ModelReader.open(path)).changed
        #expect(changed.count == 1 && changed.first?.status == .changed)
        let statistics = try #require(changed.first?.statistics)
        #expect(statistics.elementCount - statistics.identicalCount == 1)
    }

    /// Every name of the GGUF file is matched, and the errors are those of a plain computation.
    @Test func quantisationErrorByTensor() throws {
        let (_, path, gguf) = try models()
        let (a, b) = (try ModelReader.open(path), try ModelReader.open(gguf))
        let report = try CheckpointComparison.compare(a, b)
        #expect(report.tensors.map(\.name) == a.tensors().map(\.description.name))
        #expect(report.tensors.allSatisfy { $0.status == .retyped })
        let quantised = report.tensors.filter { $0.quantizationB != nil }
        #expect(quantised.count == 8 && quantised.allSatisfy { $0.quantizationB == "Q8_0" && $0.quantizationA == nil })
        for tensor in quantised {
            let (x, y) = (try values(a, tensor.name), try values(b, tensor.name))
            var (error, norm, worst) = (0.0, 0.0, (index: 0, square: 0.0))
            for start in stride(from: 0, to: x.count, by: 32) {
                var square = 0.0
                for index in start..<start + 32 {
                    square += Double((y[index] - x[index]) * (y[index] - x[index]))
                    norm += Double(x[index] * x[index])
                }
                error += square
                if square > worst.square { worst = (start, square) }
            }
            let statistics = try #require(tensor.statistics)
            #expect(abs(statistics.relativeChange / (error / norm).squareRoot() - 1) < 1e-4, "\(tensor.name)")
            let block = try #require(tensor.worstBlock)
            let columns = try #require(tensor.shapeB?.last)
            #expect(block.index == [worst.index / columns, worst.index % columns] && block.elementCount == 32)
            let expected = (worst.square / (norm * 32 / Double(x.count))).squareRoot()
            #expect(abs(block.relativeError / expected - 1) < 1e-4, "\(tensor.name)")
        }
        #expect(report.tensors.filter { $0.quantizationB == nil }.allSatisfy { $0.worstBlock == nil })
    }

    @Test func anAdapterIsComparedWithItsBase() throws {
        let place = fixturesFolder().appending(path: "peft/llama").path
        let base = try ModelReader.open(place + "/base")
        #expect(ModelReader.isAdapter(place + "/adapter") && !ModelReader.isAdapter(place + "/base"))
        let adapter = try ModelReader.open(place + "/adapter", base: place + "/base")
        #expect(adapter.origin?.format == .adapter)
        let report = try CheckpointComparison.compare(base, adapter)
        let changed = report.tensors.filter { $0.status != .identical }
        #expect(!changed.isEmpty && changed.count < report.tensors.count)
        // The merged model that PEFT wrote is the same within its rounding.
        let merged = try CheckpointComparison.compare(adapter, try ModelReader.open(place + "/merged"))
        #expect(merged.total.relativeChange < 1e-6)
        // The base is found beside the adapter by its name, and missed otherwise.
        #expect(throws: ModelFormatError.self) { try ModelReader.open(place + "/adapter") }
        for name in ["base", "adapter"] {
            try FileManager.default.copyItem(
                atPath: place + "/" + name, toPath: folder.path(name == "base" ? "llama" : name))
        }
        #expect(try ModelReader.open(folder.path("adapter")).origin?.notes.first?.contains("llama") == true)
    }
}
