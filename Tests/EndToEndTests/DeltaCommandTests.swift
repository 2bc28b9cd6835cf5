import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Deltas on the command line: `delta`, `apply`, and other commands on a delta.
@Suite struct DeltaCommandTests {
    private let folder: TemporaryFolder

    init() throws {
        let whole = try TinyRun.made.get().folder
        folder = try TemporaryFolder(inMemory: true)
        for step in [2, 4, 6] {
            try FileManager.default.copyItem(
                atPath: whole.path("sft/step-00000\(step).h5"), toPath: folder.path("\(step).h5"))
        }
    }

    @discardableResult
    private func ckpt(_ arguments: String..., status: Int32 = 0) throws -> CommandResult {
        let result = try Command.run(Command.ckptPath, arguments, in: folder)
        try #require(result.status == status, "\(arguments): \(result.errors)")
        return result
    }

    private func file(_ name: String) throws -> CheckpointFile { try CheckpointFile(path: folder.path(name)) }

    @Test func applyGivesTheStateBack() throws {
        let report = try JSON.parse(try ckpt("delta", "4.h5", "6.h5", "-o", "6.delta.h5", "--json").output)
        #expect(report["digest"]?.string == (try file("6.h5").digest))
        #expect(report["elements_changed"]?.int ?? 0 > 0)
        try ckpt("apply", "4.h5", "6.delta.h5", "-o", "again.h5")
        let (made, expected) = (try file("again.h5"), try file("6.h5"))
        #expect(made.digest == expected.digest && made.metadata == expected.metadata)
        #expect(try made.verify().isEmpty)
        let refusal = try ckpt("apply", "2.h5", "6.delta.h5", "-o", "wrong.h5", status: 2)
        #expect(refusal.errors.contains(try file("4.h5").digest.prefix(12)) && refusal.errors.contains("is another"))
        #expect(!FileManager.default.fileExists(atPath: folder.path("wrong.h5")))
    }

    @Test func deltasOfModelsFollowOneAnother() throws {
        try ckpt("delta", "--model", "2.h5", "4.h5", "-o", "4.delta.h5")
        try ckpt("delta", "--model", "4.delta.h5", "6.h5", "-o", "6.delta.h5")
        try ckpt("strip", "6.h5", "-o", "plain.h5")
        #expect(try file("6.delta.h5").digest == file("plain.h5").digest)
        // A delta also fits the whole state that its base stands for.
        try ckpt("apply", "4.h5", "6.delta.h5", "-o", "again.h5")
        #expect(try file("again.h5").digest == file("plain.h5").digest)
    }

    @Test func commandsSeeTheState() throws {
        try ckpt("delta", "4.h5", "6.h5", "-o", "6.delta.h5")
        #expect(try ckpt("diff", "6.h5", "6.delta.h5").output.hasPrefix("SAME"))
        let text = try ckpt("inspect", "6.delta.h5").output
        #expect(
            text.contains("delta of a training state") && text.contains("computed from the base and the differences"))
        let json = try JSON.parse(try ckpt("inspect", "6.delta.h5", "--json").output)
        #expect(json["delta"]?["base_digest"]?.string == (try file("4.h5").digest))
        #expect(json["digest"]?.string == (try file("6.h5").digest))
        try ckpt("verify", "6.delta.h5")
        let listing = try Command.run("h5ls", ["-r", "6.delta.h5"], in: folder)
        #expect(listing.output.contains("/delta/differences32"))
        let paths = try Command.run("h5dump", ["-d", "/delta/tensors/path", "6.delta.h5"], in: folder)
        #expect(paths.output.contains("/weights/model/embed_tokens/weight"))
    }
}
