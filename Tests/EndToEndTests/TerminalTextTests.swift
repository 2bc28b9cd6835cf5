import Foundation
import OrderedJSON
import TestSupport
import Testing

/// Text from outside cannot control the terminal.
@Suite struct TerminalTextTests {
    private func expectVisible(_ text: String, _ place: String) {
        let hidden = text.unicodeScalars.filter { !$0.isPlain && $0 != "\n" && $0 != "\t" }
        #expect(hidden.isEmpty, "\(place): \(hidden.map { String($0.value, radix: 16) })")
    }

    /// Runs ckpt on a terminal; returns what the terminal got from stdout.
    private func onTerminal(_ command: String, in folder: TemporaryFolder) throws -> String {
        let line = "env -u NO_COLOR TERM=xterm '\(Command.ckptPath)' \(command) 2>/dev/null"
        let result = try Command.run("script", ["-qec", line, "/dev/null"], in: folder)
        #expect(result.status == 0, "\(command): \(result.errors)")
        var text = ""
        for scalar in result.output.unicodeScalars where scalar != "\r" { text.unicodeScalars.append(scalar) }
        // A terminal whose input has ended shows this.
        return text.replacing("^D\u{8}\u{8}", with: "")
    }

    private let evil = #"\u001b[2J\u009b\u202e\u2028x"#

    @Test func checkDataEscapesItsData() throws {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        let pair = #"{"id":"i\n\#(evil)","problem":"1+1=\#(evil)","think":"2</think>2","short":"2"}"#
        try folder.write(pair + "\n" + pair + "\n", to: "pairs.jsonl")
        let arguments = ["check-data", "pairs.jsonl", "--model", whole.path("tokens.h5")]
        let result = try Command.run(Command.ckptPath, arguments, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        expectVisible(result.output + result.errors, "check-data")
        #expect(result.output.contains(#"\u{1b}[2J"#))
        // Its own colours are the only control sequences on a terminal.
        let shown = try onTerminal("check-data pairs.jsonl --model '\(whole.path("tokens.h5"))'", in: folder)
        #expect(shown.contains("\u{1B}[1mpair i"), "\(shown)")
        #expect(shown.contains(#"\u{1b}[2J"#))
        expectVisible(shown.replacing(/\u{1B}\[\d+m/, with: ""), "check-data on a terminal")
        let json = try Command.run(Command.ckptPath, arguments + ["--json"], in: folder)
        #expect(json.status == 0 && (try? JSON.parse(Array(json.output.utf8))) != nil)
    }

    @Test func generateEscapesOnATerminalOnly() throws {
        let folder = try TinyRun.made.get().folder
        for samples in ["1", "2"] {
            let arguments = [
                "generate", "base.h5", "--prompt", "1+1=", "--temperature", "3", "--max-new-tokens", "300", "--samples",
                samples,
            ]
            let piped = try Command.run(Command.ckptPath, arguments, in: folder)
            #expect(piped.status == 0, "\(piped.errors)")
            #expect(try onTerminal(arguments.joined(separator: " "), in: folder) == piped.output.onLines())
        }
    }

    @Test func configFilesAreEscaped() throws {
        let folder = try TinyRun.made.get().folder
        for (index, text) in [
            #""\e[2Jx": 1"#, #"lr: "\e[2J""#, #""\u202elr": [1, 2]"#, #"lr: {"\e[2J": 1}"#, "\u{1B}[2J: 1", #"? [lr]"#,
        ].enumerated() {
            try folder.write(text + "\n", to: "evil\(index).yaml")
            let result = try Command.ckpt(
                "train-sft", "tokens.h5", "--data", "task/train.jsonl", "-o", "evil", "--config", "evil\(index).yaml",
                in: folder)
            #expect(result.status == 2)
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
            expectVisible(result.errors, text)
        }
    }

    @Test func repliesOfRewardProgramsAreEscaped() throws {
        let folder = try TinyRun.made.get().folder
        for command in [
            #"command:printf "\033]0;pwn\007\n"; cat >/dev/null"#, #"command:printf "\033]0;pwn\007\n" >&2; exit 4"#,
            "command:\u{1B}[2J", "command:\u{202E}\n exit 3",
        ] {
            let result = try Command.ckpt(
                "grade", "rl/rollouts/step-000004.jsonl", "--answer", "bare", "--reward", command, in: folder)
            #expect(result.status == 2)
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
            expectVisible(result.errors, command)
        }
    }

    @Test func pathsAreEscapedInReportsAndPages() throws {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        let name = "a\u{202E}\u{1B}[2Jb.h5"
        try FileManager.default.copyItem(atPath: whole.path("rl/step-000002.h5"), toPath: folder.path(name))
        let other = whole.path("rl/step-000004.h5")
        let ways: [[String]] = [
            ["diff", name, other, "--html", "page.html"], ["verify", name], ["inspect", name], ["inspect", name + "x"],
            ["eval", name, "--data", whole.path("task/dev.jsonl"), "--max-new-tokens", "2"],
        ]
        for arguments in ways {
            let result = try Command.run(Command.ckptPath, arguments, in: folder)
            expectVisible(result.output + result.errors, "\(arguments)")
        }
        expectVisible(try String(contentsOfFile: folder.path("page.html"), encoding: .utf8), "the page")
    }
}
