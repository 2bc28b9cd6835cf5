import Foundation
import TestSupport
import Testing

/// What costs too much is refused with one line, with little memory, before the work begins.
@Suite struct BoundsTests {
    /// Runs ckpt with at most 400 MB of private memory.
    private static func limited(_ arguments: [String], in folder: TemporaryFolder) throws -> CommandResult {
        try Command.run(
            "/bin/sh",
            ["-c", "ulimit -d 800000; OPENBLAS_NUM_THREADS=1 exec \"$0\" \"$@\"", Command.ckptPath] + arguments,
            in: folder)
    }

    private static func expectRefusal(_ result: CommandResult, _ parts: String...) {
        #expect(result.status == 2, "\(result.status): \(result.errors)")
        let errors = result.errors.split(separator: "\n").filter { $0.hasPrefix("ckpt: error: ") }
        #expect(errors.count == 1 && result.errors.utf8.count < 2000, "\(result.errors.prefix(2000))")
        for part in parts { #expect(result.errors.contains(part), "\(part): \(result.errors.prefix(2000))") }
    }

    /// Problems with ids, the second much longer than the model's 512 positions.
    private static func problems(_ folder: TemporaryFolder, _ name: String, words: Int, others: Int = 1) throws {
        var rows = ["{\"id\": \"first\", \"problem\": \"1+1\", \"answer\": \"2\"}"]
        rows.append("{\"id\": \"long\", \"problem\": \"\(String(repeating: "7 ", count: words))\", \"answer\": \"7\"}")
        for row in 0..<others { rows.append("{\"id\": \"\(row)\", \"problem\": \"\(row)+1\", \"answer\": \"2\"}") }
        try folder.write(rows.joined(separator: "\n") + "\n", to: name)
    }

    @Test func aPromptBeyondThePositionsIsRefusedByEachCommand() throws {
        let folder = try TemporaryFolder()
        let model = try TinyRun.made.get().folder.path("tokens.h5")
        // 600 tokens of one byte, and 20 MB, which is not even encoded.
        for (words, found) in [(300, "tokens, over the limit of 512"), (10_000_000, "bytes, over the limit of 131072")]
        {
            try Self.problems(folder, "problems.jsonl", words: words)
            Self.expectRefusal(
                try Self.limited(["eval", model, "--data", "problems.jsonl", "--prompt", "plain"], in: folder),
                "problems.jsonl, line 2 (long)", found, "512 positions")
            Self.expectRefusal(
                try Self.limited(["diff", model, model, "--probe", "problems.jsonl"], in: folder), "line 2 (long)",
                found)
        }
        Self.expectRefusal(
            try Self.limited(["generate", model, "--prompt", String(repeating: "7 ", count: 300)], in: folder),
            "tokens, over the limit of 512", "shorten it")
        Self.expectRefusal(
            try Self.limited(["generate", model, "--prompt", String(repeating: "7 ", count: 60_000)], in: folder),
            "tokens, over the limit of 512")
    }

    @Test func aTextForTokenizeIsLimited() throws {
        let folder = try TemporaryFolder()
        let model = try TinyRun.made.get().folder.path("tokens.h5")
        try folder.write(String(repeating: "a ", count: 5 << 20), to: "text")
        let result = try Command.run(
            "/bin/sh", ["-c", "ulimit -d 800000; exec \"$0\" tokenize \"$1\" < text", Command.ckptPath, model],
            in: folder)
        Self.expectRefusal(result, "10485760 bytes, over the limit of 8388608")
    }

    @Test func trainingDropsPromptsBeyondThePositions() throws {
        let folder = try TemporaryFolder()
        let tiny = try TinyRun.made.get().folder
        let model = tiny.path("tokens.h5")
        try Self.problems(folder, "problems.jsonl", words: 1_000_000, others: 40)
        let learned = try Self.limited(
            [
                "train-rl", model, "--data", "problems.jsonl", "-o", "rl", "--steps", "1", "--prompts", "2",
                "--samples", "2", "--max-new-tokens", "4", "--max-prompt-tokens", "10000000",
            ], in: folder)
        #expect(learned.status == 0, "\(learned.errors)")
        #expect(learned.errors.contains("1 dropped as too long"), "\(learned.errors)")

        let long = String(repeating: "7 ", count: 1_000_000)
        var pairs = ["{\"id\": \"long\", \"problem\": \"\(long)\", \"think\": \"x</think>2\", \"short\": \"2\"}"]
        for row in 0..<40 { pairs.append("{\"problem\": \"\(row)\", \"think\": \"x</think>2\", \"short\": \"2\"}") }
        try folder.write(pairs.joined(separator: "\n"), to: "pairs.jsonl")
        let warmed = try Self.limited(
            [
                "train-sft", model, "--data", "pairs.jsonl", "-o", "sft", "--steps", "1", "--eval-problems", "0",
            ], in: folder)
        #expect(warmed.status == 0, "\(warmed.errors)")
        #expect(warmed.errors.contains("1 dropped as too long"), "\(warmed.errors)")
    }

    @Test func numbersOfTheCommandLineAreBounded() throws {
        let folder = try TemporaryFolder()
        let model = try TinyRun.made.get().folder.path("tokens.h5")
        for (option, value) in [
            ("--max-new-tokens", "1000000000"), ("--samples", "1000000000"), ("--budget", "1000000000"),
            ("--top-k", "99999999999999999999"),
        ] {
            Self.expectRefusal(
                try Self.limited(["generate", model, "--prompt", "1", option, value], in: folder), option)
        }
    }

    /// A million rows with one half take as long per row as a thousand.
    @Test func rowsWithTheSameProblemArePairedInLinearTime() throws {
        let folder = try TemporaryFolder()
        let half = "{\"instruction\": \"1+1\", \"output\": \"<think>\\nx</think>2\"}\n"
        let other = "{\"instruction\": \"1+1\", \"output\": \"<short>\\n2\"}\n"
        let count = 20_000
        try folder.write(
            String(repeating: half, count: count) + String(repeating: other, count: count), to: "pairs.jsonl")
        let result = try Command.ckpt("check-data", "pairs.jsonl", in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("\n20,000 pairs\n"))
        #expect(result.output.contains("19,999 (100.0 %) with the problem of an earlier row"), "\(result.output)")
    }

    @Test func aReportNamesFewOfManyLevels() throws {
        let folder = try TemporaryFolder()
        let rows = (0..<5000).map { "{\"problem\": \"\($0)+1\", \"answer\": \"\($0)\", \"level\": \"L\($0)\"}" }
        try folder.write(rows.joined(separator: "\n"), to: "problems.jsonl")
        let result = try Command.ckpt("check-data", "problems.jsonl", in: folder)
        #expect(result.output.contains("and 4,950 more (all with --json)"), "\(result.output.prefix(3000))")
    }

    @Test func oversizedFilesOfAModelAreRefusedBySize() throws {
        let folder = try TemporaryFolder()
        try folder.write("{", to: "tokenizer.json")
        #expect(truncate(folder.path("tokenizer.json"), 2 << 30) == 0)
        Self.expectRefusal(
            try Self.limited(["tokenize", "tokenizer.json", "a"], in: folder), "tokenizer.json",
            "2147483648 bytes are more than the 134217728 allowed")

        let members = (0...(1 << 21)).map { "\"\(String($0, radix: 36))\":0" }.joined(separator: ",")
        try folder.write("{\(members)}", to: "members.json")
        Self.expectRefusal(
            try Command.ckpt("tokenize", "members.json", "a", in: folder), "members.json",
            "an object has more than 2097152 members")
    }
}
