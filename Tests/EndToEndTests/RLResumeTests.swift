import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// A run of eight steps that is killed (SIGKILL) in every phase of every step and resumed each time gives the same
/// result as an uninterrupted run: weights, moments, histories, probes, metrics and rollouts.
@Suite struct RLResumeTests {
    static let steps = 8
    /// Options under which an untrained model can learn: wrong short answers pay more than wrong long ones.
    static let common = [
        "--data", "rl.jsonl", "--steps", "\(steps)", "--prompts", "3", "--samples", "4", "--max-new-tokens", "8",
        "--answer", "bare", "--alpha", "1", "--lr", "1e-3", "--save-every", "1", "--probe-every", "3",
        "--reward-short-wrong", "0.5", "--reward-think-wrong", "-0.5",
    ]
    /// Options with an entropy bonus, so that every update runs every sample and can be killed.
    static let variants: [[String]] = [
        ["--entropy-coefficient", "0.01", "--balance", "1"],
        [
            "--kl-coefficient", "0.05", "--updates-per-batch", "3", "--old-log-probabilities", "recomputed", "--refill",
            "2", "--entropy-coefficient", "0.01", "--alpha", "auto=5", "--eval-data", "dev.jsonl",
            "--eval-every", "3",
        ],
        [
            "--lora", "r=4,dropout=0.2", "--kl-coefficient", "0.05", "--entropy-coefficient", "0.01", "--balance", "1",
        ],
    ]

    @Test(arguments: variants) func killedInEveryPhaseOfEveryStep(options: [String]) throws {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder(inMemory: true)
        try FileManager.default.copyItem(atPath: whole.path("sft/step-000006.h5"), toPath: folder.path("start.h5"))
        for name in ["rl", "dev"] {
            let lines = try String(contentsOfFile: whole.path("task/\(name).jsonl"), encoding: .utf8)
                .split(separator: "\n").prefix(name == "dev" ? 2 : 60)
            try folder.write(lines.joined(separator: "\n") + "\n", to: name + ".jsonl")
        }
        let library = try Command.preloadLibrary(
            fixturesFolder().appending(path: "kill_phase.c"), in: folder.path)

        let straight = try Command.run(
            Command.ckptPath, ["train-rl", "start.h5", "-o", "straight"] + Self.common + options, in: folder)
        try #require(straight.status == 0, "\(straight.errors)")

        // The first process starts the run; each later one resumes it.
        var arguments = ["train-rl", "start.h5", "-o", "killed"] + Self.common + options
        var kills = 0
        for step in 0..<Self.steps {
            for (phase, call) in [("rollout", 9), ("update", 3), ("update", 25), ("save", 0), ("retire", 0)] {
                let process = Command.process(Command.ckptPath, arguments, in: folder)
                process.environment?.merge([
                    "LD_PRELOAD": library, "KILL_PHASE": phase, "KILL_CALL": "\(call)",
                    "KILL_SKIP": step == 0 ? "1" : "0",
                ]) { $1 }
                process.standardOutput = FileHandle.nullDevice
                process.standardError = FileHandle.nullDevice
                try process.run()
                process.waitUntilExit()
                #expect(
                    process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGKILL,
                    "step \(step), \(phase): ended with \(process.terminationStatus)")
                let newest = try folder.names(in: "killed").filter { $0.hasSuffix(".h5") }.max()
                #expect(newest == "step-00000\(phase == "retire" ? step + 1 : step).h5", "after \(phase)")
                kills += 1
                arguments = ["train-rl", "--resume", "killed", "--data", "rl.jsonl"]
                if options.contains("--eval-data") { arguments += ["--eval-data", "dev.jsonl"] }
            }
        }
        #expect(kills == 5 * Self.steps)
        let rest = try Command.run(Command.ckptPath, arguments, in: folder)
        #expect(rest.status == 0, "\(rest.errors)")
        try expectSameRuns(folder)
        // This also needs the number of prompts taken, α and the reference from the state.
        guard options.contains("--refill") else { return }
        let history = try CheckpointFile(path: folder.path("killed/step-00000\(Self.steps).h5")).metadata.history["rl"]
        #expect(history?["refilled_groups"]?.contains { $0 > 0 } == true)
        #expect(history?["kl_loss"]?.last ?? 0 > 0)
    }

    private func expectSameRuns(_ folder: TemporaryFolder) throws {
        let last = "/step-00000\(Self.steps).h5"
        let start = try CheckpointFile(path: folder.path("straight/step-000000.h5"))
        let (left, right) = (
            try CheckpointFile(path: folder.path("straight" + last)),
            try CheckpointFile(path: folder.path("killed" + last))
        )
        // Without a change of the weights equal digests would prove nothing.
        #expect(left.weightsDigest != start.weightsDigest)
        #expect(left.digest == right.digest)
        #expect(left.metadata.probes == right.metadata.probes)
        for (stage, history) in left.metadata.history {
            for name in history.names where !name.hasPrefix("seconds_") && name != "tokens_per_second" {
                let (a, b) = (history[name] ?? [], right.metadata.history[stage]?[name] ?? [])
                #expect(a.map(\.bitPattern) == b.map(\.bitPattern), "\(stage) \(name)")
            }
        }
        #expect(try metrics(folder.path("straight")) == metrics(folder.path("killed")))
        for name in try folder.names(in: "straight/rollouts") {
            let (a, b) = (folder.path("straight/rollouts/" + name), folder.path("killed/rollouts/" + name))
            #expect(FileManager.default.contentsEqual(atPath: a, andPath: b), "\(name)")
        }
    }

    /// The rows without timings.
    private func metrics(_ run: String) throws -> [String] {
        try String(contentsOfFile: run + "/metrics.jsonl", encoding: .utf8).split(separator: "\n").map { line in
            let row = try #require(try JSON.parse(Array(line.utf8)).object)
            return JSON.object(JSONObject(row.filter { !$0.key.hasPrefix("seconds_") }.map { ($0.key, $0.value) }))
                .serialized()
        }
    }
}
