import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// `train-rl --keep-deltas`: the model of every step, as a delta where no state is saved.
@Suite struct KeptDeltaTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TinyRun.startFolder()
    }

    private func train(_ output: String, _ flags: [String]) throws {
        let arguments = [
            "train-rl", "tokens.h5", "--data", "rl.jsonl", "--steps", "5", "--prompts", "3", "--samples", "4",
            "--max-new-tokens", "8", "--answer", "bare", "--alpha", "1", "--lr", "1e-3", "--balance", "1",
            "--reward-short-wrong", "0.5", "--reward-think-wrong", "-0.5", "-o", output,
        ]
        let result = try Command.run(Command.ckptPath, arguments + flags, in: folder)
        try #require(result.status == 0, "\(result.errors)")
    }

    private func states(_ run: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path(run)).filter { $0.hasSuffix(".h5") }.sorted()
    }

    private static let kept = [
        "step-000000.h5", "step-000001.delta.h5", "step-000002.delta.h5", "step-000003.h5", "step-000004.delta.h5",
        "step-000005.h5",
    ]

    @Test(arguments: [["--weights", "bf16"], [], ["--lora", "r=2"]]) func everyStepIsKept(flags: [String]) throws {
        try train("all", flags + ["--save-every", "1", "--keep-last", "9"])
        try train("kept", flags + ["--save-every", "3", "--keep-deltas"])
        #expect(try states("kept") == Self.kept)
        for (name, whole) in zip(Self.kept, try states("all")) {
            let file = try CheckpointFile(path: folder.path("kept/" + name))
            let expected = try CheckpointFile(path: folder.path("all/" + whole))
            #expect(file.weightsDigest == expected.weightsDigest && file.metadata.step == expected.metadata.step)
            #expect(file.metadata.history["rl"]?["step"] == expected.metadata.history["rl"]?["step"])
            #expect(file.metadata.probes.last?.prompts == expected.metadata.probes.last?.prompts)
            #expect(try file.verify().isEmpty)
        }
        let curve = try Command.run(Command.ckptPath, ["diff", "kept", "--json"], in: folder)
        let report = try JSON.parse(curve.output)
        #expect(report["states"]?.array?.compactMap { $0["step"]?.int } == Array(0...5), "\(curve.output.prefix(300))")
    }

    /// A resumed run starts from the last state, drops later deltas and keeps the same again.
    @Test func resumedRunKeepsTheSame() throws {
        try train("kept", ["--save-every", "3", "--keep-deltas", "--keep-last", "2"])
        let digests = try Self.kept.map { try CheckpointFile(path: folder.path("kept/" + $0)).weightsDigest }
        try FileManager.default.removeItem(atPath: folder.path("kept/step-000005.h5"))
        let result = try Command.run(
            Command.ckptPath, ["train-rl", "--resume", "kept", "--data", "rl.jsonl"], in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try states("kept") == Self.kept)
        #expect(try Self.kept.map { try CheckpointFile(path: folder.path("kept/" + $0)).weightsDigest } == digests)
    }

    @Test func adapterStatesAreRefused() throws {
        let result = try Command.run(
            Command.ckptPath,
            [
                "train-rl", "tokens.h5", "--data", "rl.jsonl", "--lora", "r=2", "--save", "adapter", "--keep-deltas",
                "-o", "x",
            ],
            in: folder)
        #expect(result.status == 2 && result.errors.contains("--keep-deltas keeps what changed in the model"))
    }
}
