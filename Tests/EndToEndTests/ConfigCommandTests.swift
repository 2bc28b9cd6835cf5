import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// `ckpt config`, and what import and export say about a model's files.
@Suite struct ConfigCommandTests {
    private static let models = repositoryRoot.appending(path: "Tests/CheckpointIOTests/Fixtures/models").path

    private func prepared() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        let base = try TinyRun.made.get().folder.path("base.h5")
        try FileManager.default.copyItem(atPath: base, toPath: folder.path("base.h5"))
        return folder
    }

    private func refusal(_ arguments: String..., in folder: TemporaryFolder) throws -> String {
        let before = try folder.names()
        let result = try Command.run(Command.ckptPath, arguments, in: folder)
        #expect(result.status == 2, "\(arguments): \(result.output)")
        #expect(try folder.names() == before)
        return result.errors
    }

    @Test func showsAndChanges() throws {
        let folder = try prepared()
        let text = try Command.ckpt("config", "base.h5", in: folder)
        #expect(text.status == 0 && text.errors == "")
        #expect(try JSON.parse(text.output)["model_type"] == "llama")

        let changed = try Command.ckpt(
            "config", "base.h5", "--set", "my_field=a b", "--set", "rope_scaling.type=linear", "--set",
            "rope_scaling.factor=2", "--unset", "torch_dtype", "-o", "new.h5", in: folder)
        #expect(changed.status == 0, "\(changed.errors)")
        let shown = try Command.ckpt("config", "new.h5", in: folder)
        let config = try JSON.parse(shown.output)
        #expect(config["my_field"] == "a b" && config["torch_dtype"] == nil)
        #expect(config["rope_scaling"] == ["type": "linear", "factor": 2])
        #expect(
            shown.errors == "ckpt: note: config.json: kept for export, but not read by LlamaForCausalLM: my_field\n")
        let words = try Command.ckpt("inspect", "new.h5", in: folder).output.split(whereSeparator: \.isWhitespace)
        #expect(words.joined(separator: " ").contains("LlamaForCausalLM: my_field"))
        let (old, new) = (
            try CheckpointFile(path: folder.path("base.h5")), try CheckpointFile(path: folder.path("new.h5"))
        )
        #expect(new.digest == old.digest && new.metadata.lineage.count == old.metadata.lineage.count + 1)
        let entry = try #require(new.metadata.lineage.last.flatMap { LineageEntry(text: $0) })
        #expect(entry.operation == "config" && entry.parent == old.digest)
        #expect(entry.report["before"]?.string == old.metadata.config)
    }

    @Test func refusesWhatDoesNotFit() throws {
        let folder = try prepared()
        for (arguments, message) in [
            (["--set", "hidden_act=gelu"], "\"hidden_act\" = \"gelu\" is read by LlamaForCausalLM and not supported"),
            (["--set", "num_hidden_layers=1"], "config: with these fields, tensor \""),
            (
                ["--set", "tie_word_embeddings=false"],
                "config: tie_word_embeddings must stay true, as the tensors are stored"
            ),
            (["--unset", "nothing"], "--unset: the config of base.h5 has no nothing"),
            (["--set", "model_type.x=1"], "--set: model_type in the config of base.h5 is no object"),
            (["--set", "x"], "--set: \"x\" has no =; give KEY=VALUE"),
            (["--set", ".=1"], "--set: \".\" is not the name of a field"),
        ] {
            let before = try folder.names()
            let result = try Command.run(
                Command.ckptPath, ["config", "base.h5"] + arguments + ["-o", "x.h5"], in: folder)
            #expect(result.status == 2 && result.errors.contains(message), "\(result.errors)")
            #expect(try folder.names() == before)
        }
        #expect(try refusal("config", "base.h5", "--set", "x=1", in: folder).contains("give -o"))
        #expect(try refusal("config", "base.h5", "-o", "x.h5", in: folder).contains("give --set or --unset"))
        #expect(
            try refusal("config", "base.h5", "--set", "x=1", "-o", "-", in: folder).contains("not to standard output"))
    }

    /// A folder whose config.json ckpt does not run is imported on request only, and then corrected.
    @Test func unsupportedModels() throws {
        let folder = try prepared()
        try FileManager.default.copyItem(atPath: Self.models + "/llama-tied-bf16", toPath: folder.path("model"))
        let text = try String(contentsOfFile: folder.path("model/config.json"), encoding: .utf8)
        try folder.write(text.replacing("\"silu\"", with: "\"gelu\""), to: "model/config.json")
        let message = try refusal("import", "model", "-o", "x.h5", in: folder)
        #expect(message.contains("\"hidden_act\" = \"gelu\"") && message.contains("--allow-unsupported imports"))
        let imported = try Command.ckpt("import", "model", "-o", "x.h5", "--allow-unsupported", in: folder)
        #expect(imported.status == 0 && imported.errors.contains("warning"), "\(imported.errors)")
        let corrected = try Command.ckpt("config", "x.h5", "--set", "hidden_act=silu", "-o", "y.h5", in: folder)
        #expect(corrected.status == 0, "\(corrected.errors)")
    }

    /// Paths of one character, relative to the working folder.
    @Test func shortPaths() throws {
        let folder = try TemporaryFolder()
        let model = Self.models + "/llama-tied-bf16"
        try FileManager.default.copyItem(atPath: model, toPath: folder.path("m"))
        let imported = try Command.ckpt("import", "m", "-o", "x", in: folder)
        #expect(imported.status == 0, "\(imported.errors)")
        for name in ["config.json", "tokenizer.json"] {
            try FileManager.default.copyItem(atPath: model + "/" + name, toPath: folder.path(name))
        }
        try FileManager.default.copyItem(atPath: model + "/model.safetensors", toPath: folder.path("w"))
        #expect(try Command.ckpt("import", "w", "-o", "y", in: folder).status == 0)
        #expect(try Command.ckpt("import", "x", "-o", "z", in: folder).status == 2)
        #expect(try refusal("import", "-", "-o", "z", in: folder).contains("give a file or folder"))
    }

    @Test func halfModelsAndSingleFiles() throws {
        let folder = try prepared()
        #expect(
            try Command.ckpt("extract", "base.h5", "--tensor", "*embed*", "-o", "half.h5", in: folder).status == 0)
        for output in ["out", "out.gguf", "out.safetensors"] {
            #expect(
                try refusal("export", "half.h5", "-o", output, in: folder)
                    .contains("give --partial to export what there is"))
        }
        let single = try Command.ckpt("export", "half.h5", "-o", "out.safetensors", "--partial", in: folder)
        #expect(single.status == 0, "\(single.errors)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.path("out.safetensors"))).count > 1000)
        #expect(try Command.ckpt("export", "base.h5", "-o", "whole.safetensors", in: folder).status == 0)
        #expect(
            try refusal("export", "base.h5", "-o", "a.safetensors", "--max-shard-size", "1GB", in: folder)
                .contains("safetensors is one file"))
    }
}
