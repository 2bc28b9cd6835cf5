import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Commands on models of other formats, with no import.
@Suite struct OtherFormatTests {
    let folder: TemporaryFolder
    private static let models = repositoryRoot.appending(path: "Tests/CheckpointIOTests/Fixtures/models").path
    private static let llama = models + "/llama-tied-bf16"

    init() throws { folder = try TemporaryFolder() }

    private func ckpt(_ arguments: String...) throws -> CommandResult {
        try Command.run(Command.ckptPath, arguments, in: folder)
    }

    @Test func inspectShowsEveryFormat() throws {
        for (path, format) in [
            (Self.llama, "hugging_face"), (Self.llama + "/model.safetensors", "hugging_face"),
            (Self.models + "/qwen2-sharded-f32/model.safetensors.index.json", "hugging_face"),
            (Self.models + "/llama-quantised.gguf", "gguf"),
        ] {
            let result = try ckpt("inspect", path, "--json")
            #expect(result.status == 0, "\(result.errors)")
            let report = try JSON.parse(result.output)
            #expect(report["format"]?.string == format && report["digest"]?.isNull == true)
            #expect(report["weights"]?["elements"]?.int ?? 0 > 0)
            #expect(try ckpt("inspect", path).status == 0)
        }
        let tensors = try ckpt("inspect", Self.models + "/llama-quantised.gguf", "--tensors", "--json")
        let types = Set(try JSON.parse(tensors.output).array?.compactMap { $0["quantization"]?.string } ?? [])
        #expect(types.contains("Q4_0") && types.contains("Q8_0"))
        #expect(try ckpt("inspect", Self.llama, "chat_template").output.contains("messages"))
    }

    @Test func diffTakesAnyMix() throws {
        #expect(try ckpt("import", Self.llama, "-o", "model.h5").status == 0)
        for (a, b) in [("model.h5", Self.llama), (Self.llama, "model.h5"), (Self.llama, Self.llama)] {
            let same = try ckpt("diff", a, b)
            #expect(same.status == 0 && same.output.hasPrefix("SAME"), "\(same.output)\(same.errors)")
        }
        #expect(try ckpt("export", "model.h5", "-o", "model.gguf", "--dtype", "q8_0").status == 0)
        let result = try ckpt("diff", Self.llama, "model.gguf")
        #expect(result.status == 1, "\(result.errors)")
        for text in ["\nQuantisation\n", "bfloat16 → Q8_0\n", "  worst block: ", "same architecture"] {
            #expect(result.output.contains(text), "\(text)\n\(result.output)")
        }
        #expect(result.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
        let report = try JSON.parse(try ckpt("diff", Self.llama, "model.gguf", "--json").output)
        #expect(report["a"]?["digest"]?.isNull == true && report["same"]?.bool == false)
        let tensors = try #require(report["tensors"]?.array)
        #expect(tensors.allSatisfy { $0["status"]?.string == "retyped" })
        #expect(tensors.contains { $0["worst_block"]?["relative_error"]?.double ?? 0 > 0 })
    }

    /// The greedy answer, the tokens and the stored answers are those of the imported checkpoint.
    @Test func modelsRunAsAfterAnImport() throws {
        #expect(try ckpt("import", Self.llama, "-o", "model.h5").status == 0)
        func generated(_ path: String) throws -> String {
            let result = try ckpt(
                "generate", path, "--prompt", "one two", "--temperature", "0", "--max-new-tokens", "8")
            #expect(result.status == 0, "\(result.errors)")
            return result.output
        }
        #expect(try generated(Self.llama) == generated("model.h5"))
        for arguments in [["one two"], ["one", "--chat"]] {
            let outputs = try [Self.llama, Self.llama + "/model.safetensors", "model.h5"].map { path in
                try Command.run(Command.ckptPath, ["tokenize", path] + arguments, in: folder).output
            }
            #expect(!outputs[0].isEmpty && Set(outputs).count == 1)
        }
        try folder.write(#"{"problem": "one two", "answer": "3"}"# + "\n", to: "problems.jsonl")
        #expect(try ckpt("add-tokens", "model.h5", "-o", "tokens.h5").status == 0)
        #expect(try ckpt("export", "tokens.h5", "-o", "tokens").status == 0)
        // Answers are resumed from those of a model with the same digest.
        for (path, notice) in [("tokens", "tokens"), ("tokens.h5", "resuming after 1 stored answer")] {
            let result = try ckpt(
                "eval", path, "--data", "problems.jsonl", "--answers", "answers.jsonl", "--max-new-tokens", "4")
            #expect(result.status == 0 && (result.output + result.errors).contains(notice), "\(result.errors)")
        }
    }

    @Test func anAdapterNeedsItsBase() throws {
        let place = repositoryRoot.appending(path: "Tests/SurgeryTests/Fixtures/peft/llama").path
        let missing = try ckpt("inspect", place + "/adapter")
        #expect(missing.status == 2 && missing.errors.contains("give the base model with --base"), "\(missing.errors)")
        #expect(try ckpt("inspect", place + "/adapter", "--base", place + "/base").output.contains("PEFT adapter"))
        #expect(try ckpt("diff", place + "/base", place + "/adapter", "--base", place + "/base").status == 1)
        let idle = try ckpt("inspect", Self.llama, "--base", place + "/base")
        #expect(idle.status == 2 && idle.errors.contains("--base: none of the models is a PEFT adapter folder"))
    }

    @Test func verifyChecksFilesAndCopies() throws {
        let intact = try ckpt("verify", Self.llama, Self.models + "/llama-quantised.gguf")
        #expect(intact.status == 0, "\(intact.output)\(intact.errors)")
        #expect(intact.output.hasSuffix("2 files: 2 intact\n"))
        let copy = folder.path("copy")
        try FileManager.default.copyItem(atPath: Self.llama, toPath: copy)
        let written = try ckpt("verify", "copy", "--manifest", "manifest.txt")
        #expect(written.status == 0 && written.output.contains("manifest manifest.txt written: 7 files"))
        #expect(try ckpt("verify", "copy", "--manifest", "manifest.txt").output.contains("compared: 7 files"))
        let weights = URL(filePath: copy + "/model.safetensors")
        var bytes = try Data(contentsOf: weights)
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: weights)
        let changed = try ckpt("verify", "copy", "--manifest", "manifest.txt", "--json")
        #expect(changed.status == 1)
        let report = try JSON.parse(changed.output).array?.first
        #expect(report?["damages"]?.array?.count == 1 && report?["manifest"]?["written"]?.bool == false)
        #expect(try ckpt("verify", "copy", "--manifest", "manifest.txt", "--force").status == 0)
        try bytes.dropLast().write(to: weights)
        let cut = try ckpt("verify", "copy")
        #expect(cut.status == 1 && cut.output.contains("the file ends too early"), "\(cut.output)\(cut.errors)")
        try FileManager.default.createDirectory(atPath: folder.path("none"), withIntermediateDirectories: true)
        #expect(try ckpt("verify", "none").status == 2)
        try folder.write("", to: "pytorch_model.bin")
        let pickle = try ckpt("verify", "pytorch_model.bin")
        #expect(pickle.status == 2 && pickle.errors.contains("pickle files can run code"))
    }

    @Test func aCheckpointHasAManifestToo() throws {
        #expect(try ckpt("import", Self.llama, "-o", "model.h5").status == 0)
        let written = try ckpt("verify", "model.h5", "--manifest", "m.txt")
        #expect(written.status == 0 && written.output.contains("digest ") && written.output.contains("written: 1 file"))
        #expect(try ckpt("verify", "model.h5", "--manifest", "m.txt").status == 0)
        try folder.write(String(repeating: "0", count: 64) + "  model.h5\n", to: "m.txt")
        #expect(try ckpt("verify", "model.h5", "--manifest", "m.txt").status == 1)
    }
}
