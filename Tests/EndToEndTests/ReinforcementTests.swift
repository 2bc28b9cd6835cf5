import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// The command train-rl: the effects of its flags, its errors, and the cases in which no weight may change.
@Suite struct ReinforcementTests {
    private static let common = [
        "--data", "task/rl.jsonl", "--steps", "2", "--prompts", "3", "--samples", "4", "--max-new-tokens", "8",
        "--answer", "bare", "--alpha", "1", "--lr", "1e-3", "--save-every", "2",
    ]
    private static let spread = ["--reward-short-wrong", "0.5", "--reward-think-wrong", "-0.5"]

    private func train(_ options: [String], to run: String, in folder: TemporaryFolder) throws -> CommandResult {
        try Command.run(
            Command.ckptPath, ["train-rl", "sft/step-000006.h5", "-o", run] + Self.common + options, in: folder)
    }

    /// The rows of a run's metrics.
    private func metrics(_ run: String, in folder: TemporaryFolder) throws -> [JSON] {
        try String(contentsOfFile: folder.path(run + "/metrics.jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try JSON.parse(Array($0.utf8)) }
    }

    private func weights(_ run: String, step: Int, in folder: TemporaryFolder) throws -> String {
        try CheckpointFile(path: folder.path("\(run)/step-00000\(step).h5")).weightsDigest
    }

    private func unique(_ name: String) -> String { name + "-" + UUID().uuidString }

    @Test(arguments: [
        // All rewards are equal, so no group has spread.
        ["--reward-short-correct", "-1", "--reward-think-correct", "-1"],
        // Every answer is truncated after its first token and masked.
        ["--max-new-tokens", "1", "--mask-truncated", "--balance", "2"] + spread,
        ["--lr", "1e-9", "--reward-short-correct", "-1", "--reward-think-correct", "-1", "--updates-per-batch", "3"],
    ])
    func nothingToLearnMovesNoBit(options: [String]) throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("still")
        let result = try train(options, to: run, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try weights(run, step: 0, in: folder) == weights(run, step: 2, in: folder))
        for row in try metrics(run, in: folder) {
            for name in ["loss", "grad_norm", "grad_norm_control", "control_loss", "response_loss"] {
                #expect(row[name]?.double == 0, "\(name)")
            }
        }
    }

    @Test(arguments: [
        // Responses that consist of their control token (T = 0).
        ["--max-new-tokens", "1"], ["--loss", "degrpo-released", "--max-new-tokens", "1"],
        ["--loss", "grpo"], ["--loss", "grpo-token-mean", "--advantage-scale", "std"], ["--loss", "dr-grpo"],
        ["--updates-per-batch", "6", "--mini-batches", "3"], ["--entropy-coefficient", "0.01"], ["--refill", "4"],
        ["--balance", "1", "--balance-weight", "none"], ["--max-short-tokens", "3"], ["--alpha", "linear:2:1:2"],
        ["--kl-coefficient", "0.1", "--kl-estimator", "k2", "--kl-reduction", "sum", "--reference-precision", "fp32"],
    ])
    func learnsWithoutNaN(options: [String]) throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("learns")
        let result = try train(Self.spread + ["--balance", "1"] + options, to: run, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try weights(run, step: 0, in: folder) != weights(run, step: 2, in: folder))
        for row in try metrics(run, in: folder) {
            for name in [
                "loss", "control_loss", "response_loss", "grad_norm", "entropy", "ppo_kl_computed", "kl_loss", "lr",
            ] {
                #expect(row[name]?.double?.isFinite == true, "\(name)")
            }
        }
    }

    /// Before the first update the policy is the one that sampled.
    @Test func firstUpdateIsOnPolicy() throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("first")
        let options =
            Self.spread + [
                "--balance", "1", "--kl-coefficient", "0.1", "--reference-precision", "fp32", "--steps", "1",
            ]
        let result = try train(options, to: run, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let row = try #require(try metrics(run, in: folder).first)
        #expect(row["ppo_kl_computed"]?.double == 0 && row["pg_clipfrac"]?.double == 0)
        #expect(abs(row["kl_loss"]?.double ?? 1) < 1e-6)
        #expect(row["logp_difference_max"]?.double ?? 1 < 1e-4)
    }

    @Test func ratioAndClipMatterWithSeveralUpdates() throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("several")
        let options = ["--balance", "1", "--updates-per-batch", "4", "--mini-batches", "1", "--lr", "1e-2"]
        let result = try train(
            Self.spread + options + ["--epsilon-low", "0.05", "--epsilon-high", "0.05"], to: run, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let row = try #require(try metrics(run, in: folder).first)
        #expect(row["ppo_kl_computed"]?.double != 0)
        #expect(row["pg_clipfrac"]?.double ?? 0 > 0)
    }

    /// K/(T+1) is K times the weight under GRPO for every length, unlike a constant.
    @Test func controlWeightByLength() throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("length")
        let result = try train(
            Self.spread + ["--balance", "1", "--alpha", "length=4", "--max-short-tokens", "3", "--steps", "1"],
            to: run, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let row = try #require(try metrics(run, in: folder).first)
        let lengths = try String(contentsOfFile: folder.path(run + "/rollouts/step-000001.jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try #require(try JSON.parse(Array($0.utf8))["tokens"]?.double) }
        #expect(Set(lengths).count > 1)
        let mean = lengths.reduce(0) { $0 + 4 / $1 } / Double(lengths.count)
        #expect(abs((row["alpha"]?.double ?? 0) - mean) < 1e-12)
        #expect(abs((row["control_weight_relative"]?.double ?? 0) - 4) < 1e-9)
    }

    @Test func refillReplacesGroupsWithoutSpread() throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("refill")
        let result = try train(Self.spread + ["--refill", "5"], to: run, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let row = try #require(try metrics(run, in: folder).first)
        let replaced = try #require(row["refilled_groups"]?.double)
        #expect(replaced > 0 && replaced <= 5)
        let rollouts = try String(contentsOfFile: folder.path(run + "/rollouts/step-000001.jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try JSON.parse(Array($0.utf8)) }
        #expect(rollouts.count == 4 * (3 + Int(replaced)))
        #expect(rollouts.count { $0["in_loss"]?.bool == true } == 12)
        // Replaced groups had no spread.
        #expect(rollouts.allSatisfy { $0["in_loss"]?.bool == true || $0["advantage"]?.double == 0 })
    }

    @Test func balanceForcesBothModesAndCountsFreeOnes() throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("balance")
        let result = try train(Self.spread + ["--balance", "1", "--log-probabilities"], to: run, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let rollouts = try String(contentsOfFile: folder.path(run + "/rollouts/step-000001.jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try JSON.parse(Array($0.utf8)) }
        for group in 0..<3 {
            let rows = rollouts[(4 * group)..<(4 * group + 4)]
            #expect(rows.map { $0["forced"]?.bool } == [true, true, false, false])
            #expect(rows.prefix(2).map { $0["mode"]?.string } == ["think", "short"])
        }
        let free = rollouts.filter { $0["forced"]?.bool == false }
        let row = try #require(try metrics(run, in: folder).first)
        #expect(row["num_think"]?.int == free.count { $0["mode"]?.string == "think" })
        for row in rollouts {
            let tokens = row["tokens"]?.int
            #expect(row["token_ids"]?.array?.count == tokens && row["log_probabilities"]?.array?.count == tokens)
            #expect(row["log_probabilities"]?.array?.allSatisfy { ($0.double ?? 1) <= 0 } == true)
        }
    }

    @Test func rewardsOfAProgram() throws {
        let folder = try TinyRun.made.get().folder
        // The program accepts answers that begin with <short>.
        let script = """
            while read -r line; do
              printf '{"results": ['
              separator=
              printf '%s' "$line" | grep -o '"mode":"[a-z]*"' | while read -r mode; do
                case $mode in *short*) printf '%strue' "$separator";; *) printf '%sfalse' "$separator";; esac
                separator=', '
              done
              echo ']}'
            done
            """
        try folder.write(script, to: "judge.sh")
        let run = unique("program")
        let long = ["--balance", "2", "--max-new-tokens", "100", "--prompts", "8"]
        let options = long + ["--reward", "command:sh judge.sh"]
        let result = try train(options, to: run, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let rollouts = try String(contentsOfFile: folder.path(run + "/rollouts/step-000001.jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try JSON.parse(Array($0.utf8)) }
        let judged = rollouts.filter { ["right", "wrong"].contains($0["outcome"]?.string ?? "") }
        #expect(!judged.isEmpty)
        #expect(judged.allSatisfy { ($0["outcome"]?.string == "right") == ($0["mode"]?.string == "short") })
        // If the program dies, the run ends with one line that names the program and the last good state.
        let program = #"command:read x; echo '{"results": []}'; read x; exit 3"#
        let dying = try train(long + ["--reward", program], to: unique("dying"), in: folder)
        #expect(dying.status == 2)
        #expect(dying.errors.contains("exited with status 3 instead of answering, at step 1; the last good state is"))
        let missing = unique("missing")
        let early = try train(["--reward", "command:exit 7"], to: missing, in: folder)
        #expect(early.status == 2 && early.errors.contains("exited with status 7"))
        #expect(!FileManager.default.fileExists(atPath: folder.path(missing)))
    }

    @Test func evaluationWhileTraining() throws {
        let folder = try TinyRun.made.get().folder
        let dev = try String(contentsOfFile: folder.path("task/dev.jsonl"), encoding: .utf8).split(separator: "\n")
        let name = unique("few") + ".jsonl"
        try folder.write(dev.prefix(3).joined(separator: "\n") + "\n", to: name)
        let run = unique("eval")
        let result = try train(["--eval-data", name, "--eval-every", "1"], to: run, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        let rows = try metrics(run, in: folder)
        #expect(rows.map { $0["step"]?.int } == [0, 1, 2])
        for name in ["eval_acc", "eval_acc_think", "eval_acc_short", "eval_tokens_think"] {
            #expect(rows.allSatisfy { $0[name]?.double?.isFinite == true }, "\(name)")
        }
        let history = try CheckpointFile(path: folder.path(run + "/step-000002.h5")).metadata.history["rl"]
        #expect(history?["eval_acc"]?.count == 3 && history?["step"] == [0, 1, 2])
        let other = try Command.ckpt("train-rl", "--resume", run, "--data", "task/rl.jsonl", in: folder)
        #expect(other.status == 2 && other.errors.contains("--eval-data is not what the run started with"))
    }

    @Test func alarmWhenAModeIsAlmostGone() throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("alarm")
        let result = try train(
            ["--alarm-share", "0.49", "--alarm-steps", "2", "--steps", "3", "--samples", "3", "--prompts", "1"],
            to: run,
            in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.contains("ckpt: warning: one mode has had less than 49.0 % for 2 steps"))
        #expect(try metrics(run, in: folder).map { $0["collapse_alarm"]?.int } == [0, 1, 1])
    }

    private func warnings(_ result: CommandResult, with text: String) -> [Substring] {
        result.errors.split(separator: "\n").filter { $0.hasPrefix("ckpt: warning: ") && $0.contains(text) }
    }

    @Test func aGroupOfOneIsWarnedOf() throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("one")
        let result = try train(["--samples", "1", "--steps", "4"], to: run, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(
            warnings(result, with: "advantage") == [
                "ckpt: warning: --samples 1: a group of one answer has no advantage, so rewards teach nothing; give at "
                    + "least 2"
            ])
        #expect(try weights(run, step: 0, in: folder) == weights(run, step: 4, in: folder))
        #expect(warnings(try train([], to: unique("four"), in: folder), with: "--samples").isEmpty)
    }

    @Test func threeStepsWithoutAdvantagesAreWarnedOfOnce() throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("flat")
        let flat = ["--reward-short-correct", "-1", "--reward-think-correct", "-1"]
        let result = try train(flat + ["--steps", "5", "--refill", "1"], to: run, in: folder)
        let found = warnings(result, with: "all advantages have been 0 for 3 steps")
        #expect(found.count == 1, "\(result.errors)")
        // The outcomes are those of the answers in the third step's loss.
        let rows = try String(contentsOfFile: folder.path(run + "/rollouts/step-000003.jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try JSON.parse(Array($0.utf8)) }.filter { $0["in_loss"]?.bool == true }
        let counts = ["right", "wrong", "malformed", "truncated"].map { outcome in
            "\(rows.count { $0["outcome"]?.string == outcome }) \(outcome)"
        }
        #expect(
            rows.count == 12
                && found.first?.contains("of the 12 answers of this step " + counts.joined(separator: ", ")) == true,
            "\(found)")
        let resumed = try Command.ckpt(
            "train-rl", "--resume", run, "--data", "task/rl.jsonl", "--steps", "9", in: folder)
        #expect(resumed.status == 0 && warnings(resumed, with: "all advantages").isEmpty, "\(resumed.errors)")
        #expect(warnings(try train(Self.spread, to: unique("spread"), in: folder), with: "all advantages").isEmpty)
    }

    @Test func theVerdictOfTheWarmUpIsRepeated() throws {
        let folder = try TinyRun.made.get().folder
        let sft = try Command.run(
            Command.ckptPath,
            ["train-sft", "tokens.h5", "--data", "task/train.jsonl", "-o", unique("verdict")] + TinyRun.sft, in: folder)
        let verdict = warnings(sft, with: "not ready for RL: ").map {
            $0.dropFirst("ckpt: warning: not ready for RL: ".count)
        }
        try #require(!verdict.isEmpty, "\(sft.errors)")
        let result = try train([], to: unique("after"), in: folder)
        #expect(
            warnings(result, with: "not ready")
                == ["ckpt: warning: the warm-up ended not ready for RL: " + verdict.joined(separator: "; ")])
        // The states in between have no verdict, and one is stale after reinforcement learning.
        for start in ["sft/step-000004.h5", "rl/step-000004.h5"] {
            let other = try Command.run(
                Command.ckptPath, ["train-rl", start, "-o", unique("other")] + Self.common, in: folder)
            #expect(other.status == 0 && warnings(other, with: "not ready").isEmpty, "\(other.errors)")
        }
    }

    @Test func lengthsBeyondThePositionsAreRefused() throws {
        let folder = try TinyRun.made.get().folder
        let refused = try train(["--max-new-tokens", "512", "--dry-run"], to: "long", in: folder)
        #expect(refused.status == 2 && refused.errors.contains("exceed the model's 512 positions"), "\(refused.errors)")
        #expect(refused.errors.contains("rope_scaling") && refused.errors.contains("--allow-long"))
        let long = try train(["--max-new-tokens", "512", "--dry-run", "--allow-long"], to: "long", in: folder)
        #expect(long.status == 0, "\(long.errors)")
        #expect(warnings(long, with: "exceed the model's 512 positions").count == 1, "\(long.errors)")
        let limit = try #require(
            refused.errors.split(separator: "; give --max-new-tokens ").last?.split(separator: " ").first)
        let fitting = try train(["--max-new-tokens", "\(limit)", "--dry-run"], to: "long", in: folder)
        #expect(fitting.status == 0 && warnings(fitting, with: "positions").isEmpty, "\(fitting.errors)")
    }

    @Test func theDefaultAlphaFitsTheLengths() throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("alpha")
        let common = Self.common.filter { !["--alpha", "1"].contains($0) }
        let result = try Command.run(
            Command.ckptPath, ["train-rl", "sft/step-000006.h5", "-o", run] + common + Self.spread, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(warnings(result, with: "control token has").isEmpty && result.errors.contains("alpha is "))
        let rows = try metrics(run, in: folder)
        #expect(abs((rows[0]["control_weight_relative"]?.double ?? 0) - 5) < 1e-9)
        #expect(rows[0]["alpha"] == rows[1]["alpha"])
        // Losses without α say nothing of it.
        let other = try Command.run(
            Command.ckptPath,
            ["train-rl", "sft/step-000006.h5", "-o", unique("grpo"), "--loss", "grpo"] + common, in: folder)
        #expect(other.status == 0 && !other.errors.contains("alpha is "), "\(other.errors)")
    }

    @Test func resumeRefusesWhatDiffers() throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("refuses")
        #expect(try train([], to: run, in: folder).status == 0)
        func resume(_ options: String...) throws -> CommandResult {
            try Command.run(
                Command.ckptPath, ["train-rl", "--resume", run, "--data", "task/rl.jsonl"] + options, in: folder)
        }
        #expect(try resume().status == 0)
        #expect(try resume("--lr", "1e-3", "--alpha", "1", "--answer", "bare").status == 0)
        for (options, name) in [
            (["--lr", "1e-4"], "--lr"), (["--gamma", "0.1"], "--gamma"),
            (["--preset", "thinkless"], "--prompts"), (["--mask-truncated"], "--mask-truncated"),
            (["--force"], "--force"), (["--probe", "task/dev.jsonl"], "--probe"),
            (["--reference", "tokens.h5"], "--reference"), (["--seed", "4"], "--seed"),
        ] {
            let result = try Command.run(
                Command.ckptPath, ["train-rl", "--resume", run, "--data", "task/rl.jsonl"] + options, in: folder)
            #expect(result.status == 2, "\(options): \(result.errors)")
            #expect(result.errors.contains(name), "\(options): \(result.errors)")
        }
        let sft = try Command.ckpt(
            "train-sft", "--resume", "sft", "--data", "task/train.jsonl", "--lr", "1e-5", in: folder)
        #expect(sft.status == 2 && sft.errors.contains("--lr 1e-05 differs from the run's 0.003"), "\(sft.errors)")
    }

    @Test func referenceIsBoundByItsWeights() throws {
        let folder = try TinyRun.made.get().folder
        let run = unique("reference")
        let kl = ["--kl-coefficient", "0.1", "--reference", "tokens.h5"]
        let result = try train(Self.spread + kl + ["--balance", "1"], to: run, in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try metrics(run, in: folder)[0]["kl_loss"]?.double ?? 0 > 0)
        func resume(_ reference: String?) throws -> CommandResult {
            try Command.run(
                Command.ckptPath,
                ["train-rl", "--resume", run, "--data", "task/rl.jsonl"]
                    + (reference.map { ["--reference", $0] } ?? []),
                in: folder)
        }
        #expect(try resume(nil).status == 0)
        #expect(try resume("tokens.h5").status == 0)
        let other = try resume("sft/step-000006.h5")
        #expect(other.status == 2 && other.errors.contains("not the"), "\(other.errors)")
        let shape = try train(["--kl-coefficient", "0.1", "--reference", "small.h5"], to: unique("x"), in: folder)
        #expect(shape.status == 2 && shape.errors.contains("small.h5: is a model of another shape"), "\(shape.errors)")
        let useless = try train(["--reference", "tokens.h5"], to: unique("x"), in: folder)
        #expect(useless.status == 2 && useless.errors.contains("--kl-coefficient"), "\(useless.errors)")
    }

    @Test func missingAnswersAreRefusedBeforeTheRun() throws {
        let folder = try TinyRun.made.get().folder
        let name = unique("asks") + ".jsonl"
        try folder.write("{\"problem\":\"1+1=?\",\"answer\":\"2\"}\n{\"problem\":\"1+2=?\"}\n", to: name)
        let run = unique("none")
        let arguments = ["train-rl", "sft/step-000006.h5", "--data", name, "-o", run]
        let result = try Command.run(Command.ckptPath, arguments, in: folder)
        #expect(result.status == 2 && result.errors.contains("\(name), line 2"), "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder.path(run)))
    }

    @Test func dryRunReportsAndWritesNothing() throws {
        let folder = try TinyRun.made.get().folder
        let before = try folder.names()
        let result = try Command.run(
            Command.ckptPath, ["train-rl", "sft/step-000006.h5", "--dry-run"] + Self.common + ["-o", "dry"], in: folder)
        #expect(result.status == 0, "\(result.errors)")
        for word in ["memory, about", "disk, at most", "tokens to sample", "tokens/s", "nothing was written"] {
            #expect(result.output.contains(word), "\(word)")
        }
        #expect(!FileManager.default.fileExists(atPath: folder.path("dry")))
        #expect(try Set(folder.names()).isSuperset(of: before))
    }

    @Test func flagsOverrideThePreset() throws {
        let folder = try TinyRun.made.get().folder
        let result = try train(["--preset", "thinkless", "--dry-run"], to: "preset", in: folder)
        #expect(result.status == 0, "\(result.errors)")
        for word in [
            "prompts_per_step=3 ", "loss=degrpo-released", "kl_coefficient=0.001", "lr=0.001", "temperature=0.6",
        ] {
            #expect(result.errors.contains(word), "\(word): \(result.errors)")
        }
    }
}
