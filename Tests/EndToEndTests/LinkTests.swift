import Foundation
import TestSupport
import Testing

/// Links in the output folder, as another user of a shared folder could put there, redirect no write.
@Suite struct LinkTests {
    private static let refusal = ": is a symbolic link; give the path that it points to, or remove the link"

    /// Commands that write to `link`, a symbolic link; the bool tells whether to a file or to a folder.
    private static let commands: [(arguments: String, isFolder: Bool)] = [
        ("init -o link", false), ("init -o link --force", false),
        ("import hf -o link --force", false),
        ("add-tokens base.h5 -o link --force", false),
        ("cast base.h5 --dtype bfloat16 -o link --force", false),
        ("export base.h5 -o link --format gguf --force", false),
        ("export base.h5 -o link --format hf --force", true), ("export base.h5 -o link/ --format hf", true),
        ("make-task -o link", true), ("make-task -o link/ --force", true),
        ("distill task/dev.jsonl -o link --think-teacher task/dev-pairs.jsonl --answer-form bare", false),
        ("distill task/dev.jsonl -o link --think-teacher task/dev-pairs.jsonl --answer-form bare --force", false),
        ("grade rl/rollouts/step-000001.jsonl -o link", false),
        ("grade rl/rollouts/step-000001.jsonl -o link --force", false),
        ("eval tokens.h5 --data task/dev.jsonl --limit 1 --max-new-tokens 2 --answers link", false),
        ("eval tokens.h5 --data task/dev.jsonl --limit 1 --max-new-tokens 2 --answers link --force", false),
        ("diff base.h5 tokens.h5 --html link", false), ("diff base.h5 tokens.h5 --html link --force", false),
        ("train-sft tokens.h5 --data task/train.jsonl -o link --steps 1", true),
        ("train-sft tokens.h5 --data task/train.jsonl -o link/ --steps 1 --force", true),
    ]

    private func prepared() throws -> TemporaryFolder {
        let run = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        for name in ["base.h5", "tokens.h5", "task", "rl"] {
            try FileManager.default.copyItem(atPath: run.path(name), toPath: folder.path(name))
        }
        let made = try Command.ckpt("export", "base.h5", "-o", "hf", in: folder)
        #expect(made.status == 0, "\(made.errors)")
        try folder.write("precious", to: "victim")
        try FileManager.default.createDirectory(atPath: folder.path("victims"), withIntermediateDirectories: false)
        try folder.write("precious", to: "victims/config.json")
        return folder
    }

    private func link(_ name: String, to target: String, in folder: TemporaryFolder) throws {
        try FileManager.default.createSymbolicLink(atPath: folder.path(name), withDestinationPath: target)
    }

    @Test func aLinkIsRefusedAsOutput() throws {
        let folder = try prepared()
        for (arguments, isFolder) in Self.commands {
            // A link that leads nowhere is refused too.
            for target in [isFolder ? "victims" : "victim", "nowhere"] {
                try link("link", to: target, in: folder)
                let before = try folder.names()
                let result = try Command.run(
                    Command.ckptPath, arguments.split(separator: " ").map(String.init), in: folder)
                #expect(result.status == 2, "\(arguments): \(result.status)")
                #expect(
                    result.errors.hasPrefix("ckpt: error: link") && result.errors.hasSuffix(Self.refusal + "\n"),
                    "\(arguments): \(result.errors)")
                #expect(try folder.names() == before, "\(arguments)")
                #expect(try folder.names(in: "victims") == ["config.json"], "\(arguments)")
                #expect(try String(contentsOfFile: folder.path("victim"), encoding: .utf8) == "precious")
                try FileManager.default.removeItem(atPath: folder.path("link"))
            }
        }
    }

    @Test func linksBesideTheOutputAreRefused() throws {
        let folder = try prepared()
        try link("p.answers", to: "victim", in: folder)
        try FileManager.default.createDirectory(atPath: folder.path("new"), withIntermediateDirectories: false)
        try link("new/train.jsonl", to: "../victim", in: folder)
        for (arguments, name) in [
            ("distill task/dev.jsonl -o p --think-teacher task/dev-pairs.jsonl --force", "p.answers"),
            ("make-task -o new --force", "new/train.jsonl"),
        ] {
            let result = try Command.run(
                Command.ckptPath, arguments.split(separator: " ").map(String.init), in: folder)
            #expect(result.status == 2)
            #expect(result.errors == "ckpt: error: \(name)\(Self.refusal)\n")
            #expect(try String(contentsOfFile: folder.path("victim"), encoding: .utf8) == "precious")
        }
    }

    /// Temporary names do not follow from the name of the output and the id of the process.
    @Test(arguments: [
        "distill task/dev.jsonl -o out --think-teacher task/dev-pairs.jsonl --answer-form bare",
        "grade rl/rollouts/step-000001.jsonl -o out",
    ])
    func aLinkWithTheNameOfATemporaryFileIsNotFollowed(arguments: String) throws {
        let folder = try prepared()
        // exec keeps the id of the process.
        let script = "ln -s victim out.$$.tmp; exec '\(Command.ckptPath)' \(arguments)"
        let result = try Command.run("/bin/bash", ["-c", script], in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try String(contentsOfFile: folder.path("victim"), encoding: .utf8) == "precious")
        let type = try FileManager.default.attributesOfItem(atPath: folder.path("out"))[.type] as? FileAttributeType
        #expect(type == .typeRegular)
        #expect(try folder.names().filter { $0.contains("partial") }.isEmpty)
    }
}
