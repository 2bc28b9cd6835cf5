import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// A run of twelve steps that is killed (SIGKILL) and resumed gives the same result as an uninterrupted run: weights,
/// moments, history, probes and metrics.
@Suite struct SFTResumeTests {
    static let steps = 12
    static let common = [
        "--data", "train.jsonl", "--steps", "\(steps)", "--batch-pairs", "3", "--lr", "3e-3", "--eval-every", "4",
        "--eval-problems", "2", "--eval-max-new-tokens", "4",
    ]

    private struct Place {
        let folder: TemporaryFolder
        let library: String
        /// The flags of the runs that are compared.
        let options: [String]

        init(_ options: [String]) throws {
            let whole = try TinyRun.made.get().folder
            folder = try TemporaryFolder(inMemory: true)
            self.options = SFTResumeTests.common + options
            try FileManager.default.copyItem(atPath: whole.path("tokens.h5"), toPath: folder.path("start.h5"))
            let lines = try String(contentsOfFile: whole.path("task/train.jsonl"), encoding: .utf8)
                .split(separator: "\n").prefix(40)
            try folder.write(lines.joined(separator: "\n") + "\n", to: "train.jsonl")
            library = try Command.preloadLibrary(
                fixturesFolder().appending(path: "kill_phase.c"), in: folder.path)
            let straight = try Command.run(Command.ckptPath, arguments(for: "straight"), in: folder)
            try #require(straight.status == 0, "\(straight.errors)")
        }

        func arguments(for run: String) -> [String] { ["train-sft", "start.h5", "-o", run] + options }

        func resuming(_ run: String) -> [String] { ["train-sft", "--resume", run, "--data", "train.jsonl"] }

        /// Runs until the process is killed.
        func kill(_ arguments: [String], _ phase: String, call: Int = 0, skip: Int = 0) throws {
            let process = Command.process(Command.ckptPath, arguments, in: folder)
            process.environment?.merge([
                "LD_PRELOAD": library, "KILL_PHASE": phase, "KILL_CALL": "\(call)", "KILL_SKIP": "\(skip)",
            ]) { $1 }
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            #expect(
                process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGKILL,
                "\(phase) \(skip): ended with \(process.terminationStatus)")
        }

        func finish(_ run: String) throws {
            let rest = try Command.run(Command.ckptPath, resuming(run), in: folder)
            #expect(rest.status == 0, "\(rest.errors)")
            let last = "/step-0000\(SFTResumeTests.steps).h5"
            let (left, right) = (
                try CheckpointFile(path: folder.path("straight" + last)),
                try CheckpointFile(path: folder.path(run + last))
            )
            #expect(left.digest == right.digest)
            #expect(left.metadata.probes == right.metadata.probes)
            let (ours, theirs) = (left.metadata.history["sft"], right.metadata.history["sft"])
            #expect(ours?.names == theirs?.names && ours?["eval_think_loss"]?.last?.isFinite == true)
            for name in ours?.names ?? [] where name != "tokens_per_second" {
                let (a, b) = (ours?[name] ?? [], theirs?[name] ?? [])
                #expect(a.count == SFTResumeTests.steps && a.map(\.bitPattern) == b.map(\.bitPattern), "\(name)")
            }
            #expect(try metrics("straight") == metrics(run))
        }

        /// The rows without timings.
        private func metrics(_ run: String) throws -> [String] {
            try String(contentsOfFile: folder.path(run + "/metrics.jsonl"), encoding: .utf8).split(separator: "\n")
                .map { line in
                    let row = try #require(try JSON.parse(Array(line.utf8)).object)
                    return JSON.object(
                        JSONObject(row.filter { $0.key != "tokens_per_second" }.map { ($0.key, $0.value) })
                    ).serialized()
                }
        }
    }

    @Test func killedAfterEachStep() throws {
        let place = try Place(["--save-every", "1", "--keep-last", "99"])
        for step in 1..<Self.steps {
            let run = "killed\(step)"
            try place.kill(place.arguments(for: run), "saved", skip: step - 1)
            #expect(try place.folder.names(in: run).filter { $0.hasSuffix(".h5") }.count == step)
            try place.finish(run)
            try FileManager.default.removeItem(atPath: place.folder.path(run))
        }
    }

    /// One run is killed repeatedly, in every step before and while its state is saved.
    @Test func killedWhileSaving() throws {
        let place = try Place(["--save-every", "1", "--batch-tokens", "150"])
        var arguments = place.arguments(for: "run")
        for step in 0..<Self.steps {
            for (phase, call) in [("rollout", 20), ("write", 1), ("save", 0), ("retire", 0)] {
                // No state precedes the first.
                if step == 0, phase == "retire" { continue }
                try place.kill(arguments, phase, call: call)
                let newest = try place.folder.names(in: "run").filter { $0.hasSuffix(".h5") }.max()
                let saved = phase == "retire" ? step + 1 : step
                if saved > 0 { #expect(newest == "step-0000\(saved < 10 ? "0" : "")\(saved).h5", "after \(phase)") }
                if saved > 0 {
                    arguments = place.resuming("run")
                } else {
                    arguments = place.arguments(for: "run") + ["--force"]
                }
            }
            if step == 0 {
                try place.kill(arguments, "saved")
                arguments = place.resuming("run")
            }
        }
        try place.finish("run")
    }

    /// Steps after the last save are repeated.
    @Test(arguments: [[], ["--moments", "8bit"], ["--weights", "bf16"], ["--moments", "8bit", "--weights", "bf16"]])
    func killedBetweenSaves(_ options: [String]) throws {
        let place = try Place(["--save-every", "5"] + options)
        try place.kill(place.arguments(for: "run"), "rollout", call: 60, skip: 1)
        try place.kill(place.resuming("run"), "rollout", call: 200)
        try place.finish("run")
    }
}
