import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Standard streams that are full or closed.
@Suite struct StandardStreamTests {
    /// Runs ckpt in a shell; `"$@"` in the script is the command.
    private func shell(_ script: String, _ arguments: [String], in folder: TemporaryFolder) throws -> CommandResult {
        try Command.run("/bin/sh", ["-c", script, "sh", Command.ckptPath] + arguments, in: folder)
    }

    static let printing: [[String]] = [
        ["--help"], ["--version"], ["help", "diff"], ["train-rl", "--help"], ["--generate-completion-script", "bash"],
        ["inspect", "rl/step-000004.h5"], ["inspect", "rl/step-000004.h5", "--json"],
        ["inspect", "rl/step-000004.h5", "history/rl"], ["verify", "--json", "rl/step-000004.h5"],
        ["verify", "rl/step-000004.h5"], ["diff", "sft/step-000002.h5", "sft/step-000006.h5"],
        ["diff", "rl", "--json"], ["tokenize", "tokens.h5", "1+1="], ["check-data", "task/train.jsonl"],
        ["grade", "rl/rollouts/step-000004.jsonl", "--answer", "bare"],
        ["generate", "rl/step-000004.h5", "--prompt", "1+1=", "--max-new-tokens", "5"],
        ["eval", "rl/step-000004.h5", "--data", "task/dev.jsonl", "--max-new-tokens", "4", "--samples", "1"],
    ]

    @Test(arguments: printing) func resultsThatCannotBeWrittenAreAnError(arguments: [String]) throws {
        let folder = try TinyRun.made.get().folder
        for redirection in [">/dev/full", ">&-"] {
            let result = try shell("\"$@\" \(redirection)", arguments, in: folder)
            #expect(result.status == 2, "\(arguments) \(redirection): \(result.status) \(result.errors)")
            let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("ckpt: error: ") }
            #expect(lines.count == 1, "\(arguments) \(redirection): \(result.errors)")
            #expect(
                lines.first?.contains("standard output cannot be written") == true, "\(arguments): \(result.errors)")
        }
    }

    @Test(arguments: [["--help"], ["inspect", "rl/step-000004.h5"], ["diff", "rl", "--json"]])
    func aClosedPipeIsQuiet(arguments: [String]) throws {
        let folder = try TemporaryFolder()
        let whole = try TinyRun.made.get().folder
        let script = "{ sleep 0.3; cd '\(whole.path)'; \"$@\"; echo $? > '\(folder.path)/status'; } | :"
        let result = try shell(script, arguments, in: folder)
        // The shell waits for the whole pipeline.
        #expect(try String(contentsOfFile: folder.path("status"), encoding: .utf8) == "141\n")
        #expect(result.errors.isEmpty, "\(result.errors)")
    }

    @Test func lostMessagesEndNothing() throws {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        for (index, redirection) in ["2>/dev/full", "2>&-", "2>&- <&-"].enumerated() {
            let missing = try shell("\"$@\" \(redirection)", ["inspect", "missing.h5"], in: folder)
            #expect(missing.status == 2)
            let source = whole.path("sft/step-000006.h5")
            let trained = try shell(
                "\"$@\" \(redirection)",
                ["train-rl", source, "--data", whole.path("task/rl.jsonl"), "-o", "rl\(index)"] + TinyRun.rl, in: folder
            )
            #expect(trained.status == 0, "\(redirection): \(trained.status)")
            #expect(try CheckpointFile(path: folder.path("rl\(index)/step-000004.h5")).verify().isEmpty)
            let answer = try shell(
                "\"$@\" \(redirection)", ["generate", source, "--prompt", "1+1=", "--max-new-tokens", "3"], in: folder)
            #expect(answer.status == 0 && !answer.output.isEmpty)
        }
    }

    /// A checkpoint must not be opened as stdout or stderr, which would write messages into it.
    @Test func closedStreamsAreNotReplacedByCheckpoints() throws {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        let result = try shell(
            "\"$@\" <&- >&- 2>&-",
            ["cast", whole.path("rl/step-000004.h5"), "--dtype", "bfloat16", "-o", "half.h5"], in: folder)
        #expect(result.status == 2)
        #expect(try CheckpointFile(path: folder.path("half.h5")).verify().isEmpty)
    }

    @Test func inputThatCannotBeReadIsAnError() throws {
        let folder = try TinyRun.made.get().folder
        let result = try shell("\"$@\" < /", ["tokenize", "tokens.h5"], in: folder)
        #expect(result.status == 2)
        #expect(result.errors.hasPrefix("ckpt: error: standard input cannot be read: is a directory"))
        #expect(try shell("\"$@\" <&-", ["tokenize", "tokens.h5"], in: folder).status != 132)
    }
}
