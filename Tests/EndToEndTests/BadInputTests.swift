import Foundation
import TestSupport
import Testing

/// Bad input to each command gives one line that names it, exit status 2 and no new files.
@Suite struct BadInputTests {
    static let commands: [[String]] = [
        ["import", "INPUT", "-o", "out.h5"],
        ["export", "INPUT", "-o", "out"],
        ["add-tokens", "INPUT", "-o", "out.h5"],
        ["train-sft", "INPUT", "--data", "pairs.jsonl", "-o", "out"],
        ["train-rl", "INPUT", "--data", "problems.jsonl", "-o", "out"],
        ["eval", "INPUT", "--data", "problems.jsonl"],
        ["generate", "INPUT", "--prompt", "hello"],
        ["inspect", "INPUT"],
        ["diff", "INPUT", "INPUT"],
        ["tokenize", "INPUT", "hello"],
    ]

    private func prepared() throws -> TemporaryFolder {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        try folder.write("{\"problem\":\"1+1=\",\"think\":\"1+1=2</think>2\",\"short\":\"2\"}\n", to: "pairs.jsonl")
        try folder.write("{\"problem\":\"1+1=\",\"answer\":\"2\"}\n", to: "problems.jsonl")
        try folder.write("not a checkpoint\n", to: "text.h5")
        try folder.write("", to: "empty.jsonl")
        let good = try Data(contentsOf: URL(fileURLWithPath: whole.path("tokens.h5")))
        try good.write(to: folder.url.appendingPathComponent("good.h5"))
        try good.prefix(good.count / 2).write(to: folder.url.appendingPathComponent("truncated.h5"))
        return folder
    }

    private func expectRefusal(_ arguments: [String], naming name: String, in folder: TemporaryFolder) throws {
        let before = try folder.names()
        let result = try Command.run(Command.ckptPath, arguments, in: folder)
        let line = arguments.joined(separator: " ")
        #expect(result.status == 2, "\(line): status \(result.status), \(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(line): \(result.errors)")
        #expect(result.errors.hasPrefix("ckpt: error: "), "\(line): \(result.errors)")
        #expect(result.errors.contains(name), "\(line): \(result.errors)")
        #expect(try folder.names() == before, "\(line) left something behind")
    }

    @Test(arguments: commands) func wrongInput(command: [String]) throws {
        let folder = try prepared()
        for input in ["missing.h5", "truncated.h5", "text.h5"] {
            try expectRefusal(command.map { $0 == "INPUT" ? input : $0 }, naming: input, in: folder)
        }
    }

    /// The strict reader names the length that a cut file should have; its attributes may lie behind the cut.
    @Test func cutCheckpoint() throws {
        let folder = try prepared()
        let good = try Data(contentsOf: folder.url.appendingPathComponent("good.h5"))
        for count in [100, 600, 5000, good.count - 1] {
            try good.prefix(count).write(to: folder.url.appendingPathComponent("cut.h5"))
            let length = "should have \(good.count) bytes and has \(count)"
            for command in ["inspect", "tokenize"] {
                try expectRefusal([command, "cut.h5"], naming: length, in: folder)
            }
        }
    }

    @Test func emptyAndBrokenData() throws {
        let folder = try prepared()
        try folder.write("{\"problem\":\"1+1=\",\"short\":\"2\"}\n{broken\n", to: "broken.jsonl")
        try expectRefusal(
            ["train-sft", "good.h5", "--data", "empty.jsonl", "-o", "out"], naming: "empty.jsonl", in: folder)
        try expectRefusal(
            ["train-rl", "good.h5", "--data", "empty.jsonl", "-o", "out"], naming: "empty.jsonl", in: folder)
        try expectRefusal(
            ["train-sft", "good.h5", "--data", "broken.jsonl", "-o", "out"], naming: "line 2", in: folder)
        try expectRefusal(["eval", "good.h5", "--data", "empty.jsonl"], naming: "empty.jsonl", in: folder)
        try expectRefusal(["train-rl", "good.h5", "--data", "pairs.jsonl", "-o", "out"], naming: "line 1", in: folder)
    }

    @Test func outputThatExistsIsKept() throws {
        let folder = try prepared()
        try folder.write("precious", to: "out.h5")
        try FileManager.default.createDirectory(atPath: folder.path("out"), withIntermediateDirectories: true)
        try folder.write("precious", to: "out/file")
        try expectRefusal(["add-tokens", "good.h5", "-o", "out.h5"], naming: "out.h5", in: folder)
        try expectRefusal(["init", "-o", "out.h5"], naming: "out.h5", in: folder)
        try expectRefusal(["export", "good.h5", "-o", "out"], naming: "out", in: folder)
        #expect(try String(contentsOfFile: folder.path("out.h5"), encoding: .utf8) == "precious")
    }

    /// A file that cannot be read does not keep `verify` from the files after it.
    @Test func verifyChecksAllFilesAndSumsUp() throws {
        let folder = try prepared()
        var bytes = try Data(contentsOf: URL(fileURLWithPath: folder.path("good.h5")))
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: folder.url.appendingPathComponent("damaged.h5"))
        func verify(_ names: String...) throws -> CommandResult {
            try Command.run(Command.ckptPath, ["verify"] + names, in: folder)
        }

        let all = try verify("missing.h5", "good.h5", "damaged.h5", "text.h5", "good.h5")
        #expect(all.status == 2)
        #expect(all.errors.split(separator: "\n").count == 2 && all.errors.contains("text.h5: "), "\(all.errors)")
        #expect(all.errors.hasPrefix("ckpt: error: missing.h5: cannot open it: "), "\(all.errors)")
        #expect(all.output.hasSuffix("\n5 files: 2 intact, 1 damaged, 2 not readable\n"), "\(all.output)")

        let damaged = try verify("damaged.h5", "good.h5")
        #expect(damaged.status == 1 && damaged.errors.isEmpty)
        #expect(damaged.output.hasSuffix("\n2 files: 1 intact, 1 damaged\n"), "\(damaged.output)")

        let intact = try verify("good.h5", "good.h5")
        #expect(intact.status == 0 && intact.output.hasSuffix("\n2 files: 2 intact\n"), "\(intact.output)")

        let reports = try verify("missing.h5", "good.h5", "--json")
        #expect(reports.status == 2 && reports.output.contains("\"whole\": true"), "\(reports.output)")
    }

    @Test func flagsOfAConfigFileGetHints() throws {
        let folder = try prepared()
        try folder.write("learning-rate: 1e-4\n", to: "run.yaml")
        let result = try Command.ckpt(
            "train-sft", "good.h5", "--data", "pairs.jsonl", "--config", "run.yaml", "-o", "out", in: folder)
        #expect(
            result.errors
                == "ckpt: error: run.yaml, line 1: \"learning-rate\" is not a flag of ckpt train-sft; did you mean "
                + "\"lr\"?\n")
    }

    @Test func unknownToken() throws {
        let folder = try prepared()
        try expectRefusal(
            ["add-tokens", "good.h5", "--token", "<new>", "--init", "copy=nonesuch", "-o", "out.h5"],
            naming: "nonesuch", in: folder)
    }

    @Test func promptWithoutAToken() throws {
        let whole = try TinyRun.made.get().folder
        let result = try Command.ckpt("generate", "small.h5", "--prompt", "abc", in: whole)
        #expect(result.status == 2)
        #expect(
            result.errors
                == "ckpt: error: small.h5: the prompt \"abc\" gives no tokens; "
                + "the tokenizer knows none of its characters\n"
        )
    }

    @Test func autoNeedsATokenizerForItsQuestions() throws {
        let folder = try prepared()
        let made = try Command.ckpt(
            "init", "-o", "marks.h5", "--hidden-size", "16", "--layers", "1", "--heads", "1", "--alphabet", "@#",
            in: folder)
        #expect(made.status == 0)
        try expectRefusal(["add-tokens", "marks.h5", "--init", "auto", "-o", "out.h5"], naming: "auto", in: folder)
    }

    @Test func wrongOptions() throws {
        let folder = try prepared()
        try expectRefusal(
            ["train-rl", "good.h5", "--data", "problems.jsonl", "-o", "out", "--alpha", "many"], naming: "--alpha",
            in: folder)
        try expectRefusal(
            ["train-sft", "good.h5", "--data", "pairs.jsonl", "-o", "out", "--batch-pairs", "0"],
            naming: "--batch-pairs", in: folder)
        try expectRefusal(["nonsense"], naming: "nonsense", in: folder)
    }
}
