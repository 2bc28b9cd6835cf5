import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Levels of problems become names of metrics and texts of the mode probe; whatever they are, the states of a run can
/// be read, or the run does not start.
@Suite struct LevelTests {
    private static let flags = [
        "--data", "levels.jsonl", "-o", "run", "--steps", "1", "--prompts", "72", "--samples", "2", "--max-new-tokens",
        "4", "--answer", "bare", "--alpha", "1",
    ]

    /// A folder with a model, and data with these levels in turn.
    private func prepared(_ levels: [String]) throws -> TemporaryFolder {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        try FileManager.default.copyItem(atPath: whole.path("sft/step-000006.h5"), toPath: folder.path("start.h5"))
        let lines = try String(contentsOfFile: whole.path("task/rl.jsonl"), encoding: .utf8).split(separator: "\n")
        let rows = try lines.prefix(80).enumerated().map { index, line in
            var row = try #require(try JSON.parse(Array(line.utf8)).object)
            row["level"] = .string(levels[index % levels.count])
            return JSON.object(row).serialized() + "\n"
        }
        try folder.write(rows.joined(), to: "levels.jsonl")
        return folder
    }

    private func shares(_ levels: [String]) throws -> [String] {
        let folder = try prepared(levels)
        let result = try Command.run(Command.ckptPath, ["train-rl", "start.h5"] + Self.flags, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        for state in ["run/step-000000.h5", "run/step-000001.h5"] {
            #expect(try CheckpointFile(path: folder.path(state)).verify().isEmpty)
        }
        let history = try CheckpointFile(path: folder.path("run/step-000001.h5")).metadata.history["rl"]
        return try #require(history).names.filter { $0.hasPrefix("think_share_") }
    }

    @Test func oddLevelsGetNamesOfTheirOwn() throws {
        let levels = [
            "a/b", "a b", "a_b", "a_b_2", ".", "..", "é", "\u{1b}[2J", "\u{200b}", "\u{202e}", "\u{7f}", "\u{301}",
            String(repeating: "x", count: 1000), String(repeating: "x", count: 1001),
        ]
        let names = try shares(levels)
        #expect(Set(names).count == levels.count, "\(names)")
        #expect(names.contains("think_share_a_b") && names.contains("think_share_a_b_2"))
        #expect(names.allSatisfy { $0.utf8.count < 100 })
    }

    @Test func manyLevelsHaveNoMetrics() throws {
        #expect(try shares((0..<33).map { "level \($0)" }).isEmpty)
    }

    @Test(arguments: ["train-rl", "train-sft"]) func otherLevelsAreRefusedBeforeTheRun(command: String) throws {
        let whole = try TinyRun.made.get().folder
        for (level, error) in [
            (String(repeating: "7", count: 100_000), "has 100000 bytes, more than 1024"),
            ("a\0b", "contains a NUL character"),
        ] {
            let folder = try prepared([level])
            if command == "train-sft" {
                let lines = try String(contentsOfFile: whole.path("task/train.jsonl"), encoding: .utf8)
                let row = try #require(lines.split(separator: "\n").first)
                var pair = try #require(try JSON.parse(Array(row.utf8)).object)
                pair["level"] = .string(level)
                try folder.write(JSON.object(pair).serialized() + "\n", to: "levels.jsonl")
            }
            let flags = command == "train-rl" ? Self.flags : Array(Self.flags.prefix(6))
            let result = try Command.run(Command.ckptPath, [command, "start.h5"] + flags, in: folder)
            #expect(result.status == 2 && result.errors.contains(error), "\(result.errors.prefix(500))")
            #expect(result.errors.split(separator: "\n").count == 1)
            #expect(try folder.names() == ["levels.jsonl", "start.h5"])
        }
    }

    /// A prompt of the probe is stored in every state.
    @Test func aPromptThatCannotBeStoredIsRefusedBeforeTheRun() throws {
        let folder = try prepared(["1"])
        try folder.write("{\"problem\":\"1+1\\u0000=\",\"answer\":\"2\"}\n", to: "probe.jsonl")
        let result = try Command.run(
            Command.ckptPath, ["train-rl", "start.h5", "--probe", "probe.jsonl"] + Self.flags, in: folder)
        #expect(result.status == 2 && result.errors.contains("must not contain a NUL character"), "\(result.errors)")
        #expect(try !folder.names().contains("run"))
    }
}
