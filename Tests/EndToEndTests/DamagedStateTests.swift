import CheckpointIO
import Foundation
import TestSupport
import Testing

/// `--resume` names a damaged newest state, and goes on from the one before.
@Suite struct DamagedStateTests {
    private let whole: TemporaryFolder
    private let folder: TemporaryFolder

    init() throws {
        whole = try TinyRun.made.get().folder
        folder = try TemporaryFolder()
        try FileManager.default.copyItem(atPath: whole.path("rl"), toPath: folder.path("run"))
    }

    private func resume() throws -> CommandResult {
        try Command.ckpt("train-rl", "--resume", "run", "--data", whole.path("task/rl.jsonl"), in: folder)
    }

    private func change(_ step: Int, _ change: (inout Data) -> Void) throws {
        let url = URL(filePath: folder.path("run/step-00000\(step).h5"))
        var bytes = try Data(contentsOf: url)
        change(&bytes)
        try bytes.write(to: url)
    }

    @Test func theRunGoesOnFromTheStateBefore() throws {
        // A bit of a tensor, and a file that was cut off.
        try change(4) { $0[$0.count / 2] ^= 1 }
        try change(3) { $0 = $0.prefix($0.count / 2) }
        let result = try resume()
        #expect(result.status == 0, "\(result.errors)")
        for damaged in ["run/step-000004.h5: ", "run/step-000003.h5: "] {
            let line = result.errors.split(separator: "\n").first { $0.hasPrefix("ckpt: warning: " + damaged) }
            #expect(line?.hasSuffix("; resuming from run/step-000002.h5") == true, "\(result.errors)")
        }
        for step in [3, 4] {
            let name = "/step-00000\(step).h5"
            let again = try CheckpointFile(path: folder.path("run" + name))
            #expect(try again.digest == CheckpointFile(path: whole.path("rl" + name)).digest)
            #expect(try again.verify().isEmpty)
        }
    }

    @Test func aRunWithoutAnyUndamagedStateIsNotResumed() throws {
        for step in 0...4 { try change(step) { $0 = $0.prefix($0.count / 2) } }
        let result = try resume()
        #expect(result.status == 2 && result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        #expect(result.errors.contains("holds no complete checkpoint"))
        #expect(result.errors.contains("run/step-000004.h5: "))
    }
}
