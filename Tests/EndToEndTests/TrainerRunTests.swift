import Foundation
import OrderedJSON
import TestSupport
import Testing

/// `ckpt diff` on runs of other trainers, made of exported states of the tiny run.
@Suite struct TrainerRunTests {
    /// A folder as transformers' Trainer leaves it, with TRL's metrics.
    private static let made = Result { try make() }

    private static func make() throws -> TemporaryFolder {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.path("grpo"), withIntermediateDirectories: true)
        for (state, step) in [(2, 20), (6, 40)] {
            let result = try Command.ckpt(
                "export", whole.path("sft/step-00000\(state).h5"), "-o", "grpo/checkpoint-\(step)", in: folder)
            guard result.status == 0 else { throw CommandFailure(["ckpt", "export"], result) }
            let rows = (1...step).map { row in
                #"{"step": \#(row), "reward": \#(Double(row) / 50), "loss": 0.0, "grad_norm": NaN, "#
                    + #""rewards/accuracy_reward/mean": \#(Double(row) / 80), "completions/mean_length": 12.5}"#
            }
            try folder.write(
                #"{"global_step": \#(step), "max_steps": 60, "log_history": [\#(rows.joined(separator: ", "))]}"#,
                to: "grpo/checkpoint-\(step)/trainer_state.json")
        }
        try FileManager.default.copyItem(atPath: whole.path("task/probe.jsonl"), toPath: folder.path("probe.jsonl"))
        return folder
    }

    @Test func theCurveIsThatOfOurOwnRuns() throws {
        let folder = try Self.made.get()
        let result = try Command.ckpt("diff", "grpo/", in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let lines = result.output.split(separator: "\n")
        #expect(lines.first?.hasPrefix("IMPROVED  right ") == true)
        #expect(result.output.contains("TRL run, 2 states, steps 20 to 40"))
        for text in ["Which layers moved when", "reward ", "ean_length", "layer 1"] {
            #expect(result.output.contains(text), "\(text)")
        }
        let json = try JSON.parse(try Command.ckpt("diff", "grpo", "--json", in: folder).output)
        #expect(json["steps"]?.array?.count == 40)
        #expect(json["weights"]?.array?.map { $0["to"]?.int } == [40])
        #expect(json["states"]?.array?.allSatisfy { $0["digest"] == .null } == true)
    }

    @Test func everyCheckpointIsAsked() throws {
        let folder = try Self.made.get()
        let own = try TinyRun.made.get().folder
        let result = try Command.ckpt(
            "diff", "grpo", "--probe", "probe.jsonl", "--modes", "<think>", "<short>", "--no-weights", "--json",
            in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let preference = try #require(try JSON.parse(result.output)["preference"])
        #expect(preference["steps"]?.array?.map(\.int) == [20, 40])
        #expect(preference["modes"]?.array?.map(\.string) == ["<think>", "<short>"])
        // The same as our own probe of the states that were exported.
        let recorded = try JSON.parse(try Command.ckpt("diff", "sft", "--json", in: own).output)["preference"]
        let last = try #require(preference["p_think"]?.array?.last?.double)
        #expect(abs(last - (recorded?["p_think"]?.array?.last?.double ?? -1)) < 1e-4)
        let texts = try Command.ckpt(
            "diff", "grpo", "--probe", "probe.jsonl", "--modes", "1 ", "<think>1", "--no-weights", in: folder)
        #expect(texts.status == 0 && texts.output.contains("P(1 )"), "\(texts.errors)")
    }

    @Test func inspectAndRunsKnowIt() throws {
        let folder = try Self.made.get()
        let screen = try Command.ckpt("inspect", "grpo", in: folder)
        #expect(screen.status == 0, "\(screen.errors)")
        for text in [
            "grpo  TRL run, step 40 of 60", "states     2, of steps 20 40", "step 40: reward 0.800",
            "grpo/checkpoint-40/trainer_state.json", "ckpt diff grpo",
        ] { #expect(screen.output.contains(text), "\(text): \(screen.output)") }
        let report = try JSON.parse(try Command.ckpt("inspect", "grpo", "--json", in: folder).output)
        #expect(report["kind"] == "trainer_run" && report["total_steps"] == 60)
        #expect(report["states"]?.array?.map { $0["step"]?.int } == [20, 40])
        #expect(report["metrics"]?["reward"]?.double == 0.8)
        let list = try Command.ckpt("runs", ".", in: folder)
        let line = try #require(list.output.split(separator: "\n").first { $0.contains("grpo") })
        for text in ["TRL", "40/60", "unfinished"] { #expect(line.contains(text), "\(list.output)") }
        let json = try JSON.parse(try Command.ckpt("runs", ".", "--json", in: folder).output)
        #expect(json["runs"]?.array?.map { $0["kind"]?.string } == ["trainer_run"])
        // A damaged log does not hide other runs.
        let whole = try TinyRun.made.get().folder
        let both = try TemporaryFolder()
        try FileManager.default.copyItem(atPath: folder.path("grpo"), toPath: both.path("grpo"))
        try FileManager.default.copyItem(atPath: whole.path("sft"), toPath: both.path("sft"))
        try both.write("{", to: "grpo/checkpoint-40/trainer_state.json")
        let damaged = try Command.ckpt("runs", ".", in: both)
        #expect(damaged.status == 0 && damaged.output.contains("sft"), "\(damaged.errors)")
        #expect(damaged.errors.contains("trainer_state.json: is not valid JSON"))
        let part = try Command.ckpt("inspect", "grpo", "config", in: folder)
        #expect(part.status == 2 && part.errors.contains("is the folder of a run"))
    }

    @Test func errorsNameTheRemedy() throws {
        let folder = try Self.made.get()
        let one = try Command.ckpt("diff", "grpo", "--probe", "probe.jsonl", "--modes", "<think>", in: folder)
        #expect(one.status == 2 && one.errors.contains("--modes takes two texts"))
        let equal = try Command.ckpt("diff", "grpo", "--probe", "probe.jsonl", "--modes", "1", "1", in: folder)
        #expect(equal.status == 2 && equal.errors.contains("begin responses with different tokens"))
        let unasked = try Command.ckpt("diff", "grpo", "--modes", "1", "2", in: folder)
        #expect(unasked.status == 2 && unasked.errors.contains("--modes needs --probe"))
        let shards = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: shards.path("global_step_5/actor"), withIntermediateDirectories: true)
        try shards.write("", to: "global_step_5/actor/model_world_size_1_rank_0.pt")
        try shards.write(#"{"step": 5, "data": {"critic/score/mean": 0.5}}"# + "\n", to: "metrics.jsonl")
        let verl = try Command.ckpt("diff", ".", in: shards)
        #expect(verl.status == 0 && verl.errors.contains("verl.model_merger merge"), "\(verl.errors)")
        #expect(verl.output.contains("critic/score/mean") && verl.output.contains("0.500"))
        try shards.write(#"{"step": 5, "data": {"actor/entropy": 0.25}}"# + "\n", to: "elsewhere.jsonl")
        let other = try Command.ckpt("diff", ".", "--log", "elsewhere.jsonl", in: shards)
        #expect(other.status == 0 && other.output.contains("actor/entropy") && !other.output.contains("critic/score"))
        let noLog = try Command.ckpt("diff", ".", "--log", "absent.jsonl", in: shards)
        #expect(noLog.status == 2 && noLog.errors.contains("absent.jsonl"), "\(noLog.errors)")
        try shards.write("{\"log_history\": 3}", to: "trainer_state.json")
        let damaged = try Command.ckpt("diff", ".", in: shards)
        #expect(damaged.status == 2 && damaged.errors.contains("trainer_state.json: has no log_history"))
    }
}
