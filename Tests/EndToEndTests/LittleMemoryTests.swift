import Foundation
import TestSupport
import Testing

/// With little memory, few descriptors or a small limit of file sizes a command works, or ends with one line.
@Suite struct LittleMemoryTests {
    private let whole: TemporaryFolder

    init() throws { whole = try TinyRun.made.get().folder }

    /// Commands by name; `@` stands for the folder of a finished run.
    private static let commands = [
        "--version", "inspect @/sft/step-000006.h5", "verify @/sft/step-000006.h5",
        "cast @/tokens.h5 --dtype bfloat16 -o out.h5", "add-tokens @/base.h5 -o out.h5 --init normal",
        "generate @/sft/step-000006.h5 --prompt 1+2? --max-new-tokens 4",
        "eval @/sft/step-000006.h5 --data @/task/dev.jsonl --limit 2 --prompt plain --max-new-tokens 4",
        "train-sft @/tokens.h5 --data @/task/train.jsonl -o out --steps 1 --batch-pairs 2",
        "train-rl @/sft/step-000006.h5 --data @/task/rl.jsonl -o out --steps 1 --prompts 2 --samples 2 "
            + "--max-new-tokens 8",
        "diff @/sft/step-000002.h5 @/sft/step-000006.h5", "export @/base.h5 -o out --format hf",
    ]

    private func run(_ command: String, limit: String, in folder: TemporaryFolder) throws -> CommandResult {
        let command = command.replacing("@", with: whole.path)
        // A command that retries for ever is ended.
        return try Command.run(
            "/bin/bash", ["-c", "ulimit \(limit); exec timeout -s KILL 60 \(Command.ckptPath) \(command)"], in: folder)
    }

    private func check(_ command: String, limit: String) throws {
        let folder = try TemporaryFolder()
        let result = try run(command, limit: limit, in: folder)
        if result.errors.contains("error while loading shared libraries") { return }
        guard result.status > 1 else { return }
        let errors = result.errors.split(separator: "\n").filter { $0.hasPrefix("ckpt: error: ") }
        #expect(!result.errors.contains("Fatal error"), "\(command), \(limit): \(result.errors)")
        #expect(result.status == 2 && errors.count == 1, "\(command), \(limit): \(result.status), \(result.errors)")
        #expect(result.errors.hasSuffix(errors.first.map { $0 + "\n" } ?? ""), "\(command), \(limit): \(result.errors)")
        let left = try folder.names().filter { $0 != "out" }
        #expect(left.isEmpty, "\(command), \(limit): \(left)")
    }

    @Test(arguments: commands) func littleAddressSpace(command: String) throws {
        for limit in [200, 320, 400, 520, 900] { try check(command, limit: "-v \(limit << 10)") }
    }

    /// The measurement of new rows loads the model; a limit that leaves no room for it is said before.
    @Test func newRowsAreMeasuredWithinTheLimit() throws {
        let folder = try TemporaryFolder()
        let made = try Command.ckpt(
            "init", "-o", folder.path("wide.h5"), "--hidden-size", "512", "--layers", "16", "--heads", "8", in: whole)
        try #require(made.status == 0, "\(made.errors)")
        var refusals: [String] = []
        for limit in stride(from: 480, through: 900, by: 60) {
            for rows in ["mean", "auto"] {
                let command = "add-tokens wide.h5 -o out.h5 --force --init \(rows)"
                let result = try run(command, limit: "-v \(limit << 10)", in: folder)
                guard result.status != 0 else { continue }
                let lines = result.errors.split(separator: "\n")
                #expect(
                    result.status == 2 && lines.count == 1 && lines[0].hasPrefix("ckpt: error: "),
                    "\(rows), \(limit): \(result.status), \(result.errors)")
                refusals.append(result.errors)
            }
        }
        #expect(!refusals.isEmpty)
    }

    @Test(arguments: commands) func fewDescriptors(command: String) throws {
        for limit in [5, 12] { try check(command, limit: "-n \(limit)") }
    }

    @Test(arguments: commands) func smallFiles(command: String) throws {
        for limit in [4, 16] { try check(command, limit: "-f \(limit)") }
    }

    /// The matrix library is asked for its buffers once, before anything is written.
    @Test func theMatrixLibraryIsCheckedFirst() throws {
        let folder = try TemporaryFolder()
        let command = "train-sft @/tokens.h5 --data @/task/train.jsonl -o out --steps 1 --batch-pairs 2"
        let result = try run(command, limit: "-v \(400 << 10)", in: folder)
        #expect(result.status == 2)
        #expect(result.errors.contains("the buffers of OpenBLAS for"), "\(result.errors)")
        #expect(result.errors.contains("raise them (ulimit -v, ulimit -d)"), "\(result.errors)")
        #expect(try folder.names().isEmpty)
    }

    /// Root has no limit of processes, so the command runs as another user, who must be able to read the program.
    @Test(.enabled(if: geteuid() == 0)) func fewThreads() throws {
        let folder = try TemporaryFolder()
        let program = folder.path("ckpt")
        try FileManager.default.copyItem(atPath: Command.ckptPath, toPath: program)
        chmod(folder.path, 0o755)
        for limit in 1...4 {
            let command = "ulimit -u \(limit); exec \(program) --version"
            let user = ["--reuid=\(47_110 + limit)", "--clear-groups", "bash", "-c", command]
            let result = try Command.run("timeout", ["-s", "KILL", "60", "setpriv"] + user, in: folder)
            #expect(result.status == 2, "\(limit): \(result.status), \(result.errors)")
            #expect(result.errors.contains(" threads and ckpt needs "), "\(limit): \(result.errors)")
        }
    }
}
