import Foundation
import TestSupport
import Testing

/// The panel of a run in a terminal of any width, and progress where there is no terminal.
@Suite(.serialized) struct PanelTests {
    private static let train = "sh ckpt train-rl s.h5 --data d.jsonl -o rl --answer bare --max-new-tokens 24"
    private static let sizes = "--prompts 4 --samples 4 --save-every 100000"
    /// Some responses are well-formed, so that a reward program is asked.
    private static let judged = "--balance 2 --max-new-tokens 100 --prompts 8 --reward 'command:sh reward'"

    /// A folder with a warmed-up model and problems whose levels are wide characters and combining marks.
    private func folder() throws -> TemporaryFolder {
        let (whole, folder) = (try TinyRun.made.get().folder, try TemporaryFolder())
        try FileManager.default.copyItem(atPath: whole.path("sft/step-000006.h5"), toPath: folder.path("s.h5"))
        try FileManager.default.copyItem(atPath: whole.path("tokens.h5"), toPath: folder.path("t.h5"))
        try FileManager.default.copyItem(atPath: whole.path("task/train.jsonl"), toPath: folder.path("p.jsonl"))
        let problems = try String(contentsOfFile: whole.path("task/rl.jsonl"), encoding: .utf8)
        try folder.write(
            problems.replacing("\"L1\"", with: "\"水準水準水準水準\"").replacing("\"L6\"", with: "\"e\u{301}\u{308}e\u{301}\""),
            to: "d.jsonl")
        try folder.write("exec \(Self.train) \(Self.sizes) --steps 999 \"$@\"\n", to: "run")
        return folder
    }

    /// A reward program that fails at the first step, after some time.
    private static func rewards(seconds: Int) -> String {
        "read line; echo '{\"results\": []}'; read line; sleep \(seconds); exit 3\n"
    }

    private func isPhase(_ line: String) -> Bool { line.contains(/^  (step|rollout|update) .*\d+ of \d+/) }
    private func isRow(_ line: String) -> Bool { line.contains(/^ *\d+\/\d+ .* (s|min|h|d)$/) }

    private func cells(_ line: String) -> Int {
        line.unicodeScalars.reduce(0) { sum, scalar in
            sum + ("\u{300}"..."\u{36F}" ~= scalar ? 0 : "水準".unicodeScalars.contains(scalar) ? 2 : 1)
        }
    }

    private func expectOnePanel(_ lines: [String], _ width: Int) {
        let text = lines.joined(separator: "\n")
        #expect(lines.count { $0 == "  P(<think>)" } == 1, "\(width) columns:\n\(text)")
        #expect(lines.count(where: isPhase) == 1, "\(width) columns:\n\(text)")
    }

    @Test(arguments: [(60, "left"), (80, "norm"), (120, "entropy")])
    func aRunAtAnyWidthAndCtrlC(columns: Int, heading: String) throws {
        let folder = try folder()
        let window = try TerminalWindow(in: folder, columns: columns)
        try window.run("sh run")
        try #require(window.wait { $0.count(where: isRow) >= 2 && $0.contains(where: isPhase) })
        let lines = try window.lines()
        expectOnePanel(lines, columns)
        #expect(
            lines.contains { $0.contains("reward") && $0.contains(heading) && $0.hasSuffix("left") },
            "\(lines.joined(separator: "\n"))")

        try window.type("C-c")
        try #require(window.wait { $0.last == "$" })
        let all = try window.unwrappedLines()
        let text = all.joined(separator: "\n")
        #expect(all.allSatisfy { cells($0) <= columns }, "\(columns) columns:\n\(text)")
        #expect(all.count { $0.contains("finishing this step") } == 1, "\(text)")
        #expect(all.count { $0 == "  P(<think>)" } == 1 && !all.contains(where: isPhase), "\(text)")
        #expect(all.suffix(3).first?.hasSuffix("resume with:") == true, "\(text)")
        let cursor = try window.cursor
        #expect(cursor.isVisible && cursor.column == 2)
    }

    @Test func aResizedWindowHasOnePanel() throws {
        let folder = try folder()
        let window = try TerminalWindow(in: folder, columns: 80)
        try window.run("sh run --steps 100000")
        try #require(window.wait { $0.contains(where: isRow) && $0.contains(where: isPhase) })
        for columns in [40, 100, 30, 80] {
            try window.resize(columns: columns)
            usleep(600_000)
            // On a busy machine it takes longer until the panel is drawn again.
            _ = window.wait { lines in
                lines.count { $0 == "  P(<think>)" } == 1 && lines.count(where: isPhase) == 1
            }
            expectOnePanel(try window.lines(), columns)
        }
        // A stopped run draws below what the shell wrote meanwhile.
        try window.type("C-z")
        try #require(window.wait { $0.last == "$" })
        try window.run("echo back; fg")
        try #require(window.wait { $0.contains("back") && $0.last.map(isPhase) == true })
        // Two at once end it without a step.
        try window.type("C-c", "C-c")
        try #require(window.wait { $0.last == "$" })
        let cursor = try window.cursor
        #expect(cursor.isVisible && cursor.column == 2)
    }

    @Test func anErrorStandsAloneAfterThePanel() throws {
        let folder = try folder()
        try folder.write(Self.rewards(seconds: 1), to: "reward")
        let window = try TerminalWindow(in: folder, columns: 80)
        try window.run("sh run \(Self.judged)")
        try #require(window.wait { $0.contains(where: isPhase) })
        try #require(window.wait { $0.last == "$" })
        let all = try window.unwrappedLines()
        let text = all.joined(separator: "\n")
        #expect(all.count { $0.hasPrefix("ckpt: error: ") && $0.contains("exited with status 3") } == 1, "\(text)")
        #expect(!all.contains(where: isPhase), "\(text)")
        #expect(try window.cursor.column == 2)
    }

    @Test(arguments: [60, 80]) func aWarmUpIsATable(columns: Int) throws {
        let folder = try folder()
        let window = try TerminalWindow(in: folder, columns: columns)
        try folder.write(
            "exec sh ckpt train-sft t.h5 --data p.jsonl -o sft --steps 8 --batch-pairs 16 --control-lr-scale 1\n",
            to: "run")
        try window.run("sh run")
        try #require(window.wait { $0.last == "$" && $0.count > 5 })
        let all = try window.unwrappedLines()
        let text = all.joined(separator: "\n")
        #expect(all.allSatisfy { cells($0) <= columns }, "\(columns) columns:\n\(text)")
        #expect(all.contains { $0.contains("step") && $0.contains("loss") && $0.hasSuffix("left") }, "\(text)")
        #expect(all.contains { $0.hasPrefix("  8/8") || $0.hasPrefix("   8/8") || $0.hasPrefix("8/8") }, "\(text)")
    }

    /// Where stderr takes no control sequences, a run that is silent for five seconds says how far it is.
    @Test(arguments: ["TERM=dumb", "NO_COLOR=1", "2>errors"])
    func progressWithoutControlSequences(setting: String) throws {
        let folder = try folder()
        try folder.write(Self.rewards(seconds: 7), to: "reward")
        let command = "\(Self.train) \(Self.sizes) --steps 2 \(Self.judged)"
        let line = setting.contains("2>") ? "\(command) \(setting)" : "env -u NO_COLOR TERM=xterm \(setting) \(command)"
        try folder.write("exec '\(Command.ckptPath)' \"$@\"\n", to: "ckpt")
        let result = try Command.run("script", ["-qec", line, "/dev/null"], in: folder)
        #expect(result.status == 2, "\(result.output)")
        let redirected = (try? String(contentsOfFile: folder.path("errors"), encoding: .utf8)) ?? ""
        let text = result.output + redirected
        #expect(!text.contains("\u{1B}"), "\(text)")
        let lines = text.split { $0.isNewline }
        #expect(lines.contains { $0.contains(/step 1 of 2, rollout .* of 32/) }, "\(text)")
        #expect(lines.contains { $0.contains("exited with status 3") }, "\(text)")
    }
}
