import CheckpointIO
import Foundation
import TestSupport
import Testing

/// Signals that end ckpt leave no temporary files, no changed output, and nothing that blocks the next start.
@Suite(.serialized) struct SignalTests {
    private static let preload = Result {
        let folder = try TemporaryFolder()
        return (folder, try Command.preloadLibrary(fixturesFolder().appending(path: "hold_fsync.c"), in: folder.path))
    }

    /// Starts ckpt with the usual reaction to signals, except to those in `ignored`; `held` stops it before a rename.
    private func start(
        _ arguments: String, in folder: TemporaryFolder, held: Bool = true, ignored: String? = nil
    ) throws -> Process {
        let flags = ["--default-signal=INT,TERM,HUP"] + (ignored.map { ["--ignore-signal=" + $0] } ?? [])
        let process = Command.process(
            "/usr/bin/env", flags + [Command.ckptPath] + arguments.split(separator: " ").map(String.init), in: folder)
        if held { process.environment?["LD_PRELOAD"] = try Self.preload.get().1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    /// Polls for 60 seconds until `condition` holds; returns whether it does.
    private func wait(until condition: () throws -> Bool) rethrows -> Bool {
        for _ in 0..<60_000 {
            if try condition() { return true }
            usleep(1000)
        }
        return false
    }

    private func temporaries(in folder: TemporaryFolder, _ subfolder: String = ".") -> [String] {
        ((try? folder.names(in: subfolder)) ?? []).filter { $0.hasPrefix(".ckpt-") }
    }

    /// Waits until the process has ended, which it must do by the signal.
    private func expectEnd(of process: Process, by signal: Int32, _ comment: String) {
        #expect(wait { !process.isRunning }, "\(comment)")
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        #expect(process.terminationReason == .uncaughtSignal, "\(comment)")
        #expect(process.terminationStatus == signal, "\(comment)")
    }

    /// A held process that has a temporary file or folder.
    private func startHeld(_ arguments: String, in folder: TemporaryFolder, output: String = ".") throws -> Process {
        let process = try start(arguments, in: folder)
        let made = ".ckpt-\(process.processIdentifier)-"
        #expect(
            wait { temporaries(in: folder, output).contains { $0.hasPrefix(made) } || !process.isRunning }
                && process.isRunning, "\(arguments)")
        return process
    }

    private func prepared() throws -> TemporaryFolder {
        let run = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        for name in ["base.h5", "tokens.h5", "task", "rl"] {
            try FileManager.default.copyItem(atPath: run.path(name), toPath: folder.path(name))
        }
        let made = try Command.ckpt("export", "base.h5", "-o", "hf", in: folder)
        #expect(made.status == 0, "\(made.errors)")
        try FileManager.default.createDirectory(atPath: folder.path("out"), withIntermediateDirectories: false)
        return folder
    }

    /// Commands that write the file `out/x`, the folder `out/hf`, or files in `out/task`.
    private static let commands = [
        "init -o out/x --force --hidden-size 16 --layers 1 --heads 1", "import hf -o out/x --force",
        "export base.h5 -o out/hf --force",
        "add-tokens base.h5 -o out/x --force", "resize-vocab base.h5 --pad-to-multiple-of 64 -o out/x --force",
        "cast base.h5 --dtype bfloat16 -o out/x --force", "rename base.h5 *.norm.weight=*.last -o out/x --force",
        "extract base.h5 --tensor *norm* -o out/x --force", "graft base.h5 base.h5 --tensor *norm* -o out/x --force",
        "merge base.h5 base.h5 --method linear -o out/x --force", "strip rl/step-000004.h5 -o out/x --force",
        "make-task -o out/task --force --train 50 --rl 50 --dev 5 --test 5 --probe 2", "make-task -o out/new",
        "distill task/dev.jsonl -o out/y --think-teacher task/dev-pairs.jsonl --answer-form bare",
        "grade rl/rollouts/step-000001.jsonl -o out/x --force --answer bare",
        "diff base.h5 tokens.h5 --html out/x --force",
    ]

    @Test func aSignalRemovesTemporaryFilesInEveryCommand() throws {
        let folder = try prepared()
        try folder.write("old", to: "out/x")
        for (name, file) in [("hf", "config.json"), ("task", "train.jsonl")] {
            try FileManager.default.createDirectory(
                atPath: folder.path("out/" + name), withIntermediateDirectories: false)
            try folder.write("old", to: "out/\(name)/\(file)")
        }
        let signals = [SIGINT, SIGTERM, SIGHUP]
        for (number, command) in Self.commands.enumerated() {
            let place = ["out/task", "out/new"].first(where: command.contains) ?? "out"
            let process = try startHeld(command, in: folder, output: place)
            // Files may appear one after the other.
            usleep(useconds_t(number * 5_000))
            // A command with a loop takes the first signal as a request.
            for _ in 0..<(command.hasPrefix("distill") ? 2 : 1) {
                kill(process.processIdentifier, signals[number % 3])
                usleep(50_000)
            }
            expectEnd(of: process, by: signals[number % 3], command)
            // The journal of distill is there to stay.
            #expect(try folder.names(in: "out").filter { $0 != "y.answers" } == ["hf", "task", "x"], "\(command)")
            #expect(try folder.names(in: "out/hf") == ["config.json"], "\(command)")
            #expect(try folder.names(in: "out/task") == ["train.jsonl"], "\(command)")
            for name in ["x", "hf/config.json", "task/train.jsonl"] {
                #expect(try String(contentsOfFile: folder.path("out/" + name), encoding: .utf8) == "old", "\(command)")
            }
        }
    }

    /// At moments between the start and the end of a save, without a preloaded library.
    @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func aSignalAtAnyMomentLeavesTheOldFileOrTheNew(signal: Int32) throws {
        let folder = try TemporaryFolder()
        try Command.ckpt("init", "-o", "old.h5", "--hidden-size", "128", "--layers", "2", "--heads", "2", in: folder)
        let old = try Data(contentsOf: folder.url.appending(path: "old.h5"))
        var ended = 0
        for moment in 0..<12 {
            try old.write(to: folder.url.appending(path: "model.h5"))
            let process = try start("cast model.h5 --dtype bfloat16 -o model.h5 --force", in: folder, held: false)
            _ = wait { !temporaries(in: folder).isEmpty || !process.isRunning }
            usleep(useconds_t(moment * 1000))
            kill(process.processIdentifier, signal)
            process.waitUntilExit()
            if process.terminationReason == .uncaughtSignal {
                ended += 1
                #expect(process.terminationStatus == signal)
            } else {
                #expect(process.terminationStatus == 0)
            }
            #expect(try folder.names() == ["model.h5", "old.h5"])
            let now = try Data(contentsOf: folder.url.appending(path: "model.h5"))
            if now != old { #expect(try CheckpointFile(path: folder.path("model.h5")).verify().isEmpty) }
        }
        #expect(ended > 0)
    }

    @Test(arguments: [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129)])
    func aShellSeesTheUsualStatus(signal: Int32, status: Int) throws {
        let folder = try prepared()
        let process = Command.process(
            "/bin/sh",
            [
                "-c",
                "env --default-signal=INT,TERM,HUP '\(Command.ckptPath)' cast base.h5 --dtype bfloat16 -o new.h5; "
                    + "echo $? > status",
            ], in: folder)
        process.environment?["LD_PRELOAD"] = try Self.preload.get().1
        process.standardError = FileHandle.nullDevice
        try process.run()
        #expect(wait { !temporaries(in: folder).isEmpty })
        let name = try #require(temporaries(in: folder).first)
        kill(try #require(pid_t(name.split(separator: "-")[1])), signal)
        process.waitUntilExit()
        #expect(try String(contentsOfFile: folder.path("status"), encoding: .utf8) == "\(status)\n")
        #expect(temporaries(in: folder).isEmpty)
    }

    /// As under `nohup`, and for Ctrl-C in jobs that a script started in the background.
    @Test func anIgnoredSignalStaysIgnored() throws {
        let folder = try prepared()
        let process = try start("cast base.h5 --dtype bfloat16 -o new.h5", in: folder, ignored: "INT,HUP")
        #expect(wait { !temporaries(in: folder).isEmpty })
        for signal in [SIGHUP, SIGINT, SIGINT] {
            kill(process.processIdentifier, signal)
            usleep(100_000)
        }
        #expect(process.isRunning && !temporaries(in: folder).isEmpty)
        kill(process.processIdentifier, SIGTERM)
        expectEnd(of: process, by: SIGTERM, "SIGTERM")
        #expect(temporaries(in: folder).isEmpty)
    }

    // MARK: - What SIGKILL leaves

    @Test func theNextWriteRemovesWhatAKilledProcessLeft() throws {
        let folder = try prepared()
        var left: [String] = []
        // Each removes what the one before it left, a file or a folder.
        for command in ["cast base.h5 --dtype bfloat16 -o killed", "export base.h5 -o killed", "strip base.h5 -o x"] {
            let process = try startHeld(command, in: folder)
            left = temporaries(in: folder)
            #expect(left.count == 1 && left[0].hasPrefix(".ckpt-\(process.processIdentifier)-"), "\(left)")
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        #expect(temporaries(in: folder) == left)
        let living = try startHeld("strip base.h5 -o living.h5", in: folder)
        left = temporaries(in: folder)
        #expect(left.count == 1 && left[0].hasPrefix(".ckpt-\(living.processIdentifier)-"), "\(left)")
        #expect(try Command.ckpt("strip", "base.h5", "-o", "next.h5", in: folder).status == 0)
        #expect(temporaries(in: folder) == left)
        kill(living.processIdentifier, SIGKILL)
        living.waitUntilExit()
        // A journal of answers makes no temporary file, and cleans up too.
        let answers = try Command.ckpt(
            "eval", "tokens.h5", "--data", "task/dev.jsonl", "--limit", "1", "--max-new-tokens", "2", "--answers", "a",
            in: folder)
        #expect(answers.status == 0, "\(answers.errors)")
        #expect(temporaries(in: folder).isEmpty)
    }

    @Test func onlyWhatAnEndedProcessOfThisMachineLeftIsRemoved() throws {
        let folder = try prepared()
        let process = try startHeld("strip base.h5 -o living.h5", in: folder)
        let name = try #require(temporaries(in: folder).first)
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        let parts = name.dropFirst(".ckpt-".count).dropLast(".partial".count).split(separator: "-").map(String.init)
        let (ended, start, host, random) = (parts[0], parts[1], parts[2], parts[3])
        let own = ProcessInfo.processInfo.processIdentifier
        let removed = [
            name, ".ckpt-\(ended)-5f.partial", ".ckpt-\(ended)-0-\(host)-\(random).partial",
            // The number of the process has been used again.
            ".ckpt-\(own)-\(start)-\(host)-\(random).partial",
        ]
        let kept = [
            ".ckpt-\(own)-5f.partial", ".ckpt-\(own)-0-\(host)-\(random).partial",
            ".ckpt-\(ended)-\(start)-\(host == "00000000" ? "1" : "0")0000000-\(random).partial",
            ".ckpt-\(ended)-\(start)-\(host)-\(random.dropLast()).partial", ".ckpt-\(ended)-xyz.partial",
            ".ckpt-\(ended)-\(start)-\(host)-\(random)-\(random).partial", ".ckpt-\(ended)-5F.partial",
            ".ckpt-\(ended)-5f.partial.h5", ".ckpt-0\(ended)-5f.partial", ".ckpt--1-5f.partial", ".ckpt-1-5f.partial",
            ".ckpt-\(ended)-.partial", ".ckpt-\(ended).partial", ".ckpt-.partial", "ckpt-\(ended)-5f.partial",
        ]
        for name in removed.dropFirst() + kept { try folder.write("", to: name) }
        try FileManager.default.createDirectory(
            atPath: folder.path("victims/inner"), withIntermediateDirectories: true)
        try folder.write("precious", to: "victims/file")
        // A folder with a folder and a link in it, and links to a file and to a folder.
        let tree = ".ckpt-\(ended)-6f.partial"
        try FileManager.default.createDirectory(atPath: folder.path(tree + "/inner"), withIntermediateDirectories: true)
        try folder.write("", to: tree + "/inner/file")
        for (link, target) in [
            (tree + "/link", "../victims"), (".ckpt-\(ended)-7f.partial", "victims"),
            (".ckpt-\(ended)-8f.partial", "victims/file"),
        ] {
            try FileManager.default.createSymbolicLink(atPath: folder.path(link), withDestinationPath: target)
        }
        #expect(try Command.ckpt("strip", "base.h5", "-o", "next.h5", in: folder).status == 0)
        #expect(try folder.names().filter { $0.contains("ckpt-") } == kept.sorted())
        #expect(try folder.names(in: "victims") == ["file", "inner"])
    }

    // MARK: - Loops

    /// The first state of a warm-up is saved after some steps, that of reinforcement learning before the first.
    @Test(
        arguments: [
            "train-sft tokens.h5 --data task/train.jsonl -o run --steps 3 --batch-pairs 2 --save-every 2",
            "train-rl rl/step-000001.h5 --data task/rl.jsonl -o run --steps 1 --prompts 2 --samples 2 "
                + "--max-new-tokens 4 --answer bare --alpha 1",
        ], [SIGINT, SIGHUP, SIGKILL])
    func aRunThatEndsBeforeItsFirstStateDoesNotBlockTheNext(command: String, signal: Int32) throws {
        let folder = try prepared()
        let process = try startHeld(command, in: folder, output: "run")
        #expect(temporaries(in: folder, "run").count == 1)
        if signal != SIGKILL {
            kill(process.processIdentifier, signal)
            usleep(300_000)
            #expect(process.isRunning)
        }
        kill(process.processIdentifier, signal)
        expectEnd(of: process, by: signal, command)
        #expect(temporaries(in: folder, "run").isEmpty || signal == SIGKILL)
        let again = try Command.run(Command.ckptPath, command.split(separator: " ").map(String.init), in: folder)
        #expect(again.status == 0, "\(again.errors)")
        let names = try folder.names(in: "run")
        #expect(names.contains { $0.hasPrefix("step-") } && !names.contains { $0.hasPrefix(".") }, "\(names)")
        let rows = try String(contentsOfFile: folder.path("run/metrics.jsonl"), encoding: .utf8)
        #expect(rows.split(separator: "\n").count == (command.hasPrefix("train-sft") ? 3 : 1))
    }

    @Test func logsWhoseStatesWereDeletedAreKept() throws {
        let folder = try prepared()
        for name in try folder.names(in: "rl") where name.hasSuffix(".h5") {
            try FileManager.default.moveItem(atPath: folder.path("rl/" + name), toPath: folder.path(name))
        }
        let result = try Command.ckpt(
            "train-rl", "step-000001.h5", "--data", "task/rl.jsonl", "-o", "rl", "--max-new-tokens", "4", in: folder)
        #expect(result.status == 2 && result.errors.contains("already holds a run"), "\(result.errors)")
        #expect(try folder.names(in: "rl").contains("metrics.jsonl"))
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func aSignalEndsTrainingAfterTheStep(signal: Int32) throws {
        let folder = try prepared()
        let process = try start(
            "train-sft tokens.h5 --data task/train.jsonl -o run --epochs 1000 --batch-pairs 2", in: folder, held: false)
        let metrics = folder.path("run/metrics.jsonl")
        #expect(wait { ((try? String(contentsOfFile: metrics, encoding: .utf8)) ?? "").contains("\n") })
        kill(process.processIdentifier, signal)
        #expect(wait { !process.isRunning })
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
        #expect(try folder.names(in: "run").contains { $0.hasPrefix("step-") })
    }

    @Test func aDistillationWithoutAnswersDoesNotBlockTheNext() throws {
        let folder = try prepared()
        let command = "distill task/dev.jsonl -o new --think-teacher task/dev-pairs.jsonl --answer-form bare"
        for signal in [SIGINT, SIGKILL] {
            let process = try startHeld(command, in: folder)
            if signal == SIGINT { kill(process.processIdentifier, signal) }
            usleep(100_000)
            kill(process.processIdentifier, signal)
            expectEnd(of: process, by: signal, command)
            #expect(try folder.names().contains("new.answers"))
        }
        let arguments = command.split(separator: " ").map(String.init)
        let next = try Command.run(Command.ckptPath, arguments, in: folder)
        #expect(next.status == 0, "\(next.errors)")
        let third = try Command.run(Command.ckptPath, arguments, in: folder)
        #expect(third.status == 2 && third.errors.contains("--resume to go on"), "\(third.errors)")
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func aSignalEndsAnEvaluationWithItsAnswersStored(signal: Int32) throws {
        let folder = try prepared()
        let command =
            "eval rl/step-000004.h5 --data task/test.jsonl --mode all --samples 50 --max-new-tokens 24 --answers a"
        let process = try start(command, in: folder, held: false)
        let stored = { (try? String(contentsOfFile: folder.path("a"), encoding: .utf8)) ?? "" }
        #expect(wait { stored().contains("\n") })
        kill(process.processIdentifier, signal)
        expectEnd(of: process, by: signal, command)
        #expect(stored().hasSuffix("\n"))
    }
}
