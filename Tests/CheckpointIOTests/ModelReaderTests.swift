import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Models of other formats, read in place.
@Suite struct ModelReaderTests {
    /// A checkpoint with the tensors of another format.
    private func imported(_ path: String, in folder: TemporaryFolder) throws -> CheckpointFile {
        let model = try ModelImport.open(path: path)
        _ = try CheckpointWriter.write(
            model.metadata, tensors: model.source.tensors.map { TensorToWrite(reading: $0, from: model.source) },
            to: folder.path("model.h5"), overwrite: true)
        return try CheckpointFile(path: folder.path("model.h5"))
    }

    @Test(arguments: [
        "llama-tied-bf16", "llama-tied-bf16/model.safetensors", "qwen2-sharded-f32",
        "qwen2-sharded-f32/model.safetensors.index.json", "qwen3-f16", "llama-quantised.gguf", "qwen2-f16.gguf",
    ])
    func readsWhatAnImportStores(name: String) throws {
        let folder = try TemporaryFolder()
        let path = ModelFixtures.path(name)
        let stored = try imported(path, in: folder)
        let file = try ModelReader.open(path, hashing: true)
        #expect(file.origin?.format == (name.hasSuffix(".gguf") ? .gguf : .huggingFace))
        #expect(file.tensors().map(\.description) == stored.tensors().map(\.description))
        #expect(file.tensors().map(\.sha256) == stored.tensors().map(\.sha256))
        #expect(file.digest == stored.digest && file.weightsDigest == stored.weightsDigest)
        #expect(file.metadata.tokenizer == stored.metadata.tokenizer)
        for tensor in stored.tensors() {
            func values(_ file: CheckpointFile) throws -> [Float] {
                var values = [Float](repeating: .nan, count: tensor.description.elementCount)
                try values.withUnsafeMutableBufferPointer { try file.readFloat32(tensor.description.name, into: $0) }
                return values
            }
            #expect(try values(file) == values(stored), "\(tensor.description.name)")
            let own = try #require(file.tensor(tensor.description.name))
            #expect(try file.statistics(of: own) == stored.statistics(of: tensor), "\(tensor.description.name)")
        }
        // Without hashing, there are no digests to be mistaken for equal ones.
        let plain = try ModelReader.open(path)
        #expect(plain.digest.isEmpty && plain.weightsDigest.isEmpty && plain.tensors().allSatisfy { $0.sha256 == nil })
    }

    @Test func quantisedTensorsKeepTheirType() throws {
        let file = try ModelReader.open(ModelFixtures.path("llama-quantised.gguf"))
        let quantised = file.tensors().compactMap(\.quantization)
        #expect(!quantised.isEmpty && quantised.allSatisfy { [32, 256].contains($0.blockElementCount) })
        #expect(file.tensors().filter { $0.quantization != nil }.allSatisfy { $0.description.elementType == .float32 })
        #expect(file.fileByteCount < file.tensors().reduce(0) { $0 + $1.description.byteCount })
    }

    @Test func checkpointsAndTheirErrorsAreThoseOfTheirReader() throws {
        let folder = try TemporaryFolder()
        let stored = try imported(ModelFixtures.path("qwen3-f16"), in: folder)
        let file = try ModelReader.open(stored.path)
        #expect(file.origin == nil && file.digest == stored.digest)
        for (name, text) in [("text.h5", "not a model"), ("text", "{}"), ("short", "")] {
            let path = try folder.write(text, to: name)
            #expect(
                ModelFixtures.message { try ModelReader.open(path) }
                    == ModelFixtures.message { try CheckpointFile(path: path) })
        }
        let missing = ModelFixtures.message { try ModelReader.open(folder.path("missing.gguf")) }
        #expect(missing?.contains("missing.gguf: cannot read") == true)
    }

    /// Safetensors without config.json have the names of the file.
    @Test func tensorsAlone() throws {
        let folder = try TemporaryFolder()
        let path = folder.path("tensors.safetensors")
        try FileManager.default.copyItem(atPath: ModelFixtures.path("qwen3-f16/model.safetensors"), toPath: path)
        let file = try ModelReader.open(path)
        #expect(file.tensors().count == (try ModelReader.open(ModelFixtures.path("qwen3-f16"))).tensors().count)
        #expect(file.origin?.notes == ["there is no config.json; tensors have the names in the file"])
        #expect(ModelReader.isModelFolder(folder.path) && !ModelReader.isModelFolder(path))
        #expect(ModelFixtures.message { try ModelImport.open(path: path) }?.contains("no config.json") == true)
    }

    @Test func runFoldersAreNoModels() throws {
        let folder = try TemporaryFolder()
        _ = try imported(ModelFixtures.path("qwen3-f16"), in: folder)
        #expect(!ModelReader.isModelFolder(folder.path))
        #expect(ModelReader.isModelFolder(ModelFixtures.path("qwen2-sharded-f32")))
    }
}
