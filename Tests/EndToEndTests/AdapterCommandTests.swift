import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// LoRA adapters on the command line: in by import and merge, out by export, shown by inspect and diff.
@Suite struct AdapterCommandTests {
    private static let fixture = repositoryRoot.appending(path: "Tests/SurgeryTests/Fixtures/peft/llama").path
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @discardableResult
    private func ckpt(_ arguments: String...) throws -> CommandResult {
        try Command.run(Command.ckptPath, arguments, in: folder)
    }

    private func digest(_ name: String) throws -> String { try CheckpointFile(path: folder.path(name)).weightsDigest }

    @Test func importAndMergeAgree() throws {
        let (base, adapter) = (Self.fixture + "/base", Self.fixture + "/adapter")
        let imported = try ckpt("import", base, "--adapter", adapter, "-o", "imported.h5")
        #expect(imported.status == 0, "\(imported.errors)")
        try ckpt("import", base, "-o", "base.h5")
        let merged = try ckpt("merge", "base.h5", "--adapter", adapter, "-o", "merged.h5")
        #expect(merged.status == 0, "\(merged.errors)")
        try ckpt("import", "base.h5", "--adapter", adapter, "-o", "again.h5")
        #expect(try digest("imported.h5") == digest("merged.h5"))
        #expect(try digest("imported.h5") == digest("again.h5"))
        #expect(try digest("imported.h5") != digest("base.h5"))
        let lineage = try CheckpointFile(path: folder.path("imported.h5")).metadata.lineage
        let entry = try #require(lineage.last.flatMap(LineageEntry.init(text:)))
        #expect(entry.arguments["adapter"]?["r"]?.int == 4 && entry.arguments["adapter"]?["modules"]?.int == 14)
        // Another type is rounded once, after the merge.
        try ckpt("import", base, "--adapter", adapter, "--dtype", "bfloat16", "-o", "half.h5")
        try ckpt("cast", "imported.h5", "--dtype", "bfloat16", "-o", "cast.h5")
        #expect(try digest("half.h5") == digest("cast.h5"))
    }

    @Test func wrongUsesAreNamed() throws {
        let (base, adapter) = (Self.fixture + "/base", Self.fixture + "/adapter")
        try ckpt("import", base, "-o", "base.h5")
        for (arguments, words) in [
            (["import", adapter, "-o", "x.h5"], "ckpt import BASE --adapter FOLDER"),
            (["import", base, "--adapter", base, "-o", "x.h5"], "no adapter_config.json"),
            (["import", "base.h5", "--adapter", adapter, "--dtype", "float16", "-o", "x.h5"], "use ckpt cast"),
            (["merge", "base.h5", "base.h5", "--adapter", adapter, "-o", "x.h5"], "takes one checkpoint"),
            (["merge", "base.h5", "-o", "x.h5"], "--method"),
            (["export", "base.h5", "--adapter", "-o", "x"], "no adapter; only checkpoints of a run with --lora"),
            (["export", "base.h5", "--adapter", "--dtype", "float16", "-o", "x"], "no other option"),
            (["export", "base.h5", "--base", "y", "-o", "x"], "--base belongs to --adapter"),
        ] {
            let result = try Command.run(Command.ckptPath, arguments, in: folder)
            #expect(result.status == 2 || result.status == 64, "\(arguments): \(result.status)")
            #expect(result.errors.contains(words), "\(arguments): \(result.errors)")
            #expect(try folder.names() == ["base.h5"], "\(arguments)")
        }
    }

    @Test func shownByInspectAndDiff() throws {
        try ckpt("import", Self.fixture + "/base", "-o", "base.h5")
        let base = try CheckpointFile(path: folder.path("base.h5"))
        let state = try AdapterState.write(base, to: folder.path("state.h5"), rows: [2])
        let summary = try ckpt("inspect", "state.h5").output
        #expect(summary.contains("LoRA, r 2, α 3") && summary.contains("on q_proj, v_proj"))
        let json = try JSON.parse(try ckpt("inspect", "state.h5", "--json").output)
        #expect(json["adapter"]?["base_digest"]?.string == base.weightsDigest)
        #expect(json["adapter"]?["matrices"]?["tensors"]?.int == 8 && json["adapter"]?["base"]?["tensors"]?.int == 6)
        #expect(try JSON.parse(try ckpt("inspect", "base.h5", "--json").output)["adapter"] == nil)
        let comparison = try ckpt("diff", "base.h5", "state.h5")
        #expect(comparison.status == 1)
        #expect(comparison.output.contains("only in B: r 2, α 3") && comparison.output.contains("‖s·B·A‖/‖W‖"))
        let report = try JSON.parse(try ckpt("diff", "base.h5", "state.h5", "--json").output)
        #expect(report["adapters"]?["modules"]?.array?.count == 4)
        // Out, and onto the base again.
        let exported = try ckpt("export", "state.h5", "--adapter", "-o", "lora")
        #expect(exported.status == 0 && exported.output.contains("an adapter of 10 tensors"), "\(exported.errors)")
        try ckpt("merge", "base.h5", "--adapter", "lora", "-o", "merged.h5")
        #expect(try digest("merged.h5") == state.weightsDigest)
        let stripped = try ckpt("strip", "state.h5", "-o", "plain.h5")
        #expect(stripped.status == 0 && stripped.errors.contains("plain model"))
        #expect(try digest("plain.h5") == state.weightsDigest)
        #expect(try ckpt("verify", "state.h5").status == 0)
    }
}
