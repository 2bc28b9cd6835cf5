import Foundation
import OrderedJSON
import TestSupport
import Testing

/// `ckpt eval` and `ckpt grade` on the tiny model.
@Suite struct EvaluationTests {
    private static let sampling = ["--answer", "bare", "--temperature", "1", "--top-p", "1", "--max-new-tokens", "24"]

    private func unique(_ name: String) -> String { name + "-" + UUID().uuidString }

    private func eval(_ arguments: [String], in folder: TemporaryFolder) throws -> CommandResult {
        try Command.run(Command.ckptPath, ["eval"] + arguments + Self.sampling, in: folder)
    }

    private func report(_ arguments: [String], in folder: TemporaryFolder) throws -> JSON {
        let result = try eval(arguments + ["--json"], in: folder)
        try #require(result.status == 0, "\(result.errors)")
        return try JSON.parse(Array(result.output.utf8))
    }

    private func lines(_ name: String, in folder: TemporaryFolder) throws -> [Substring] {
        try String(contentsOfFile: folder.path(name), encoding: .utf8).split(separator: "\n")
    }

    @Test func severalCheckpointsAndDataInOneTable() throws {
        let folder = try TinyRun.made.get().folder
        let arguments = [
            "sft/step-000006.h5", "rl/step-000002.h5", "rl/step-000004.h5", "--data", "task/test.jsonl", "--data",
            "task/dev.jsonl", "--mode", "all",
        ]
        let results = try #require(try report(arguments, in: folder)["results"]?.array)
        #expect(results.map { $0["data"]?.string } == ["test", "test", "test", "dev", "dev", "dev"])
        for (index, result) in results.enumerated() {
            let problems = try #require(result["problems"]?.int)
            let rows = try #require(result["rows"]?.array)
            #expect(Set(rows.compactMap { $0["condition"]?.string }) == ["auto", "think", "short"])
            let whole = rows.filter { $0["level"]?.isNull == true && $0["mode"]?.isNull == true }
            #expect(whole.count == 3 && whole.allSatisfy { $0["answers"]?.int == problems })
            #expect(whole.allSatisfy { $0["gain_over_first"]?.isNull == (index % 3 == 0) })
            // Levels partition the answers.
            for condition in whole {
                let parts = rows.filter { $0["condition"] == condition["condition"] && $0["level"]?.isNull == false }
                let byLevel = parts.filter { $0["mode"]?.isNull == true }.compactMap { $0["answers"]?.int }
                #expect(byLevel.count > 1 && byLevel.reduce(0, +) == problems)
            }
            let forced = whole[1]
            #expect(forced["think_share"]?.double == 1 && forced["tokens"]?["mean"]?.double ?? 0 > 1)
            let both = try #require(forced["prompt_and_response_tokens"]?.double)
            #expect(both > forced["tokens"]?["mean"]?.double ?? .infinity)
        }
        let table = try eval(arguments + ["--markdown"], in: folder)
        #expect(
            table.output.hasPrefix("| model | mode | test | dev |\n|---|---|---|---|\n| sft/step-000006.h5 | auto | "))
        let text = try eval(arguments, in: folder)
        for word in [
            "── test ──", "against first", "forced think", "clustered by problem",
            "differences from the evaluation of the method",
        ] {
            #expect(text.output.contains(word), "\(word)")
        }
    }

    @Test func choiceOracleAndThresholds() throws {
        let folder = try TinyRun.made.get().folder
        let arguments = [
            "rl/step-000004.h5", "--data", "task/test.jsonl", "--mode", "all", "--samples", "8", "--threshold",
        ]
        let result = try #require(try report(arguments, in: folder)["results"]?.array?.first)
        let choice = try #require(result["choice"]?.object)
        #expect(choice["samples"]?.int == 8 && choice["margin"]?.double == 0 && choice["gamma"]?.double == 0.5)
        let curve = try #require(result["threshold_curve"]?.array)
        #expect(curve.first?["think_share"]?.double == 1 && curve.last?["think_share"]?.double == 0)
        #expect(curve.last?["threshold"]?.isNull == true && curve.count > 2)
        // The ends of the curve are the forced modes.
        let rows = try #require(result["rows"]?.array).filter {
            $0["level"]?.isNull == true && $0["mode"]?.isNull == true
        }
        for (point, condition) in [(curve.first, "think"), (curve.last, "short")] {
            let row = rows.first { $0["condition"]?.string == condition }
            #expect(row?["pass_at_1"]?["bare"] == point?["pass_at_1"])
        }
        // Evaluating one threshold needs half the answers and gives the same point.
        let middle = try #require(curve[curve.count / 2]["threshold"]?.double)
        let fixed = try report(
            Array(arguments.prefix(3)) + ["--samples", "8", "--mode", "short", "--threshold", "\(middle)"], in: folder
        )
        let row = fixed["results"]?.array?.first?["rows"]?.array?.first { $0["condition"]?.string == "threshold" }
        #expect(row?["threshold"]?.double == middle)
        #expect(row?["think_share"]?.double == curve[curve.count / 2]["think_share"]?.double)
        let text = try eval(arguments, in: folder)
        for word in [
            "hybrid accuracy", "oracle bound", "T always think, S never, A the model's choices",
            "margin 0.0, ties count as short",
        ] {
            #expect(text.output.contains(word), "\(word)")
        }
    }

    /// A prompt is computed once for all modes, which changes no answer.
    @Test func modesTogetherAndAlone() throws {
        let folder = try TinyRun.made.get().folder
        let arguments = ["sft/step-000006.h5", "--data", "task/test.jsonl", "--samples", "3", "--answers"]
        let modes = ["auto", "think", "short"].map { "--mode=\($0)" }
        func rows(_ modes: [String]) throws -> Set<Substring> {
            let name = unique("modes") + ".jsonl"
            let result = try eval(arguments + [name] + modes, in: folder)
            try #require(result.status == 0, "\(result.errors)")
            return Set(try lines(name, in: folder))
        }
        let together = try rows(modes)
        let alone = try modes.map { try rows([$0]) }
        #expect(together == alone.reduce(into: Set()) { $0.formUnion($1) })
        #expect(together.count == alone.reduce(0) { $0 + $1.count })
    }

    @Test func severalSamplesInEveryForm() throws {
        let folder = try TinyRun.made.get().folder
        let arguments = ["sft/step-000006.h5", "--data", "task/dev.jsonl", "--samples", "6"]
        let rows = try #require(try report(arguments, in: folder)["results"]?.array?.first?["rows"]?.array)
        for row in rows where row["answers"]?.int ?? 0 > 0 {
            let names = ["pass_at_2", "pass_at_4", "pass_at_6", "majority_at_6"]
            // Answers in one mode are not all samples of their problem.
            guard row["mode"]?.isNull == true else {
                #expect(names.allSatisfy { row[$0] == nil })
                continue
            }
            let means = try (["pass_at_1"] + names).map { try #require(row[$0]?["bare"]?["mean"]?.double) }
            #expect(means[..<4].sorted() == Array(means[..<4]) && means[4] <= means[3])
            #expect(names.allSatisfy { row[$0]?["bare"]?["standard_error"] != nil })
        }
        let text = try eval(arguments, in: folder).output
        #expect(text.contains("several samples") && text.contains("pass@4") && text.contains("maj@6"), "\(text)")
        let table = try eval(arguments + ["--markdown"], in: folder).output
        #expect(table.contains("| model | mode | level | pass@2 | pass@4 | pass@6 | maj@6 |"), "\(table)")
        let once = try eval(Array(arguments.dropLast(2)), in: folder).output
        #expect(!once.contains("maj@") && !once.contains("several samples"))
        // Stored answers give the same figures.
        let stored = arguments + ["--answers", unique("several"), "--json"]
        #expect(try eval(stored, in: folder).output == (try eval(stored, in: folder).output))
    }

    @Test func weightsInBFloat16() throws {
        let folder = try TinyRun.made.get().folder
        let answers = unique("halves") + ".jsonl"
        let arguments = ["rl/step-000004.h5", "--data", "task/test.jsonl", "--answers"]
        func preference(_ report: JSON) throws -> Double {
            try #require(report["results"]?.array?.first?["rows"]?.array?.first?["p_think"]?.double)
        }
        let whole = try report(arguments + [unique("whole") + ".jsonl"], in: folder)
        let half = try report(arguments + [answers, "--weights", "bf16"], in: folder)
        #expect(half["protocol"]?["weights"]?.string == "bf16" && whole["protocol"]?["weights"] == nil)
        let (before, after) = (try preference(whole), try preference(half))
        #expect(before != after && abs(before - after) < 0.02)
        // Answers of different precisions are not mixed.
        let mixed = try eval(arguments + [answers], in: folder)
        #expect(mixed.status == 2 && mixed.errors.contains("weights"), "\(mixed.errors)")
    }

    @Test func budgetCutsThinking() throws {
        let folder = try TinyRun.made.get().folder
        let answers = unique("budget") + ".jsonl"
        let report = try report(
            [
                "sft/step-000006.h5", "--data", "task/test.jsonl", "--mode", "think", "--budget", "3", "--answers",
                answers,
            ],
            in: folder)
        #expect(report["protocol"]?["thinking_budget"]?.int == 3)
        let rows = try lines(answers, in: folder).map { try JSON.parse(Array($0.utf8)) }
        let cut = rows.filter { $0["thinking_cut"]?.bool == true }
        #expect(!cut.isEmpty)
        for row in cut {
            // The control token and two more tokens, then the end of thinking.
            let text = try #require(row["completion"]?.string)
            #expect(text.hasPrefix("<think>") && text.contains("</think>"))
            // No token of this vocabulary has more than twelve characters.
            let end = try #require(text.range(of: "</think>"))
            #expect(text.distance(from: text.startIndex, to: end.lowerBound) <= "<think>".count + 2 * 12)
        }
    }

    /// After the answer file is cut at any place, and after a real kill, the same command gives the same file and
    /// report, and samples no stored answer again.
    @Test func interruptedEvaluationIsResumed() throws {
        let folder = try TinyRun.made.get().folder
        let name = unique("answers") + ".jsonl"
        let common = ["rl/step-000004.h5", "--data", "task/test.jsonl", "--mode", "all", "--samples", "4"]
        let arguments = common + ["--json", "--answers", name]
        let straight = try eval(arguments, in: folder)
        try #require(straight.status == 0, "\(straight.errors)")
        let whole = try Data(contentsOf: folder.url.appendingPathComponent(name))
        let count = try lines(name, in: folder).count
        #expect(count == 3 * 4 * (try lines("task/test.jsonl", in: folder).count))

        for share in [0.2, 0.999, 1] {
            let kept = whole.prefix(Int(Double(whole.count) * share))
            try kept.write(to: folder.url.appendingPathComponent(name))
            let keptLines = kept.count { $0 == UInt8(ascii: "\n") }
            let result = try eval(arguments, in: folder)
            #expect(result.output == straight.output)
            #expect(keptLines == 0 || result.errors.contains("resuming after \(keptLines) stored answer"))
            #expect(try Data(contentsOf: folder.url.appendingPathComponent(name)) == whole, "\(share)")
        }

        let killed = unique("killed") + ".jsonl"
        let process = Command.process(
            Command.ckptPath, ["eval"] + common + Self.sampling + ["--json", "--answers", killed], in: folder)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        // Waits for the first answers.
        for _ in 0..<20_000 where process.isRunning {
            let size = try? FileManager.default.attributesOfItem(atPath: folder.path(killed))[.size] as? Int
            if size ?? 0 > 0 { break }
            usleep(500)
        }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        #expect(process.terminationReason == .uncaughtSignal)
        #expect(try lines(killed, in: folder).count < count)
        let resumed = try eval(common + ["--json", "--answers", killed], in: folder)
        #expect(resumed.output == straight.output)
        #expect(try Data(contentsOf: folder.url.appendingPathComponent(killed)) == whole)
    }

    /// P(`<think>`) of prompts whose answers are stored is not computed again.
    @Test func resumingTakesStoredProbabilities() throws {
        let folder = try TinyRun.made.get().folder
        let name = unique("answers") + ".jsonl"
        let arguments = ["rl/step-000004.h5", "--data", "task/test.jsonl", "--mode", "short", "--answers", name]
        _ = try report(arguments, in: folder)
        let file = folder.url.appendingPathComponent(name)
        let stored = try lines(name, in: folder).map { line in
            let changed = line.replacing(/"p_think":[^,]*/, with: #""p_think":0.125"#)
            try #require(changed != line)
            return changed
        }
        try Data((stored.joined(separator: "\n") + "\n").utf8).write(to: file)
        let resumed = try report(arguments, in: folder)
        #expect(resumed["results"]?.array?.first?["rows"]?.array?.first?["p_think"]?.double == 0.125)
    }

    @Test func instructionThatCannotBeEncoded() throws {
        let folder = try TinyRun.made.get().folder
        let name = unique("few") + ".h5"
        let base = unique("digits") + ".h5"
        for arguments in [
            ["init", "-o", base, "--hidden-size", "16", "--layers", "1", "--heads", "1", "--alphabet", "0123456789+?"],
            ["add-tokens", base, "-o", name, "--init", "normal"],
        ] {
            let made = try Command.run(Command.ckptPath, arguments, in: folder)
            try #require(made.status == 0, "\(made.errors)")
        }
        let result = try eval([name, "--data", "task/test.jsonl", "--prompt", "method"], in: folder)
        #expect(result.status == 2 && result.errors.contains("\(name): the tokenizer cannot encode the instruction"))
    }

    @Test func storedAnswersAreGraded() throws {
        let folder = try TinyRun.made.get().folder
        let name = unique("answers") + ".jsonl"
        let report = try report(
            ["sft/step-000006.h5", "--data", "task/test.jsonl", "--mode", "think", "--answers", name], in: folder)
        let row = try #require(report["results"]?.array?.first?["rows"]?.array?.first)
        let graded = try Command.ckpt("grade", name, "--answer", "bare", "--json", in: folder)
        let all = try #require(try JSON.parse(Array(graded.output.utf8))["all"])
        #expect(all["accuracy"] == row["pass_at_1"]?["bare"]?["mean"])
        #expect(all["accuracy_standard_error"] == row["pass_at_1"]?["bare"]?["standard_error"])
    }

    /// Grading a rollout log gives the outcomes and rewards of the run, by the answer rule that the log names.
    @Test func rolloutLogsAreGradedAsTheRunDid() throws {
        let folder = try TinyRun.made.get().folder
        let logs = ["rl/rollouts/step-000003.jsonl", "rl/rollouts/step-000004.jsonl"]
        let name = unique("graded") + ".jsonl"
        let result = try Command.ckpt("grade", logs[0], logs[1], "-o", name, "--json", in: folder)
        let summary = try JSON.parse(Array(result.output.utf8))
        let rows = try lines(name, in: folder).map { try JSON.parse(Array($0.utf8)) }
        #expect(summary["all"]?["responses"]?.int == rows.count && summary["by_file"]?[logs[0]] != nil)
        for row in rows {
            for key in ["mode", "outcome", "defect", "found", "reward"] { #expect(row["grade"]?[key] == row[key]) }
        }
        #expect(try Command.ckpt("grade", logs[0], logs[1], in: folder).output.contains(logs[1] + "  "))
    }

    @Test func programsGradeToo() throws {
        let folder = try TemporaryFolder()
        // Pays 0.25 for everything that is not malformed or cut off.
        try folder.write(
            """
            while read -r line; do
              n=$(printf '%s' "$line" | grep -o '"response"' | wc -l)
              printf '{"results": ['
              for i in $(seq 1 $n); do [ $i = 1 ] || printf ', '; printf '{"right": true, "reward": 0.25}'; done
              echo ']}'
            done
            """, to: "judge.sh")
        try folder.write(
            #"""
            {"response":"<short>anything"}
            {"problem":"p","answer":"2","response":"<think>x</think>y","level":"A"}
            {"answer":"2","response":"<think>x"}
            """#, to: "responses.jsonl")
        let result = try Command.ckpt(
            "grade", "responses.jsonl", "--reward", "command:sh judge.sh", "--answer", "bare", "-o", "graded.jsonl",
            "--json",
            in: folder)
        try #require(result.status == 0, "\(result.errors)")
        let report = try JSON.parse(Array(result.output.utf8))
        #expect(report["all"]?["right"]?.int == 2 && report["all"]?["malformed"]?.int == 1)
        #expect(report["accuracy_by_rule"]?.object?.isEmpty == true)
        let rows = try lines("graded.jsonl", in: folder).map { try JSON.parse(Array($0.utf8))["grade"] }
        #expect(rows.map { $0?["reward"]?.double } == [0.25, 0.25, -1])
        // Without a program, the ground truth is required.
        let missing = try Command.ckpt("grade", "responses.jsonl", in: folder)
        #expect(missing.status == 2 && missing.errors.contains("responses.jsonl, line 1: no answer to grade against"))
        let dying = try Command.ckpt("grade", "responses.jsonl", "--reward", "command:exit 3", in: folder)
        #expect(dying.status == 2 && dying.errors.contains("exited with status 3"))
    }

    @Test(arguments: [
        (["--threshold", "1.5"], "--threshold must be between 0 and 1"),
        (["--prompt", "nothing"], "give method, plain, or a text with {problem} as placeholder"),
        (["--budget", "0"], "--budget must be at least 1"), (["--json", "--markdown"], "exclude each other"),
        (["--mode", "long"], "'long' is invalid for '--mode"), (["--samples", "0"], "--samples"),
        (["--answers", "none/a.jsonl"], "none/a.jsonl: cannot write: no such file or directory"),
        (["--answers", "task/test.jsonl"], "task/test.jsonl, line 1: the row is not an answer stored by ckpt eval"),
        (["--margin", "-1"], "--margin"),
    ])
    func mistakesAreNamed(options: [String], message: String) throws {
        let folder = try TinyRun.made.get().folder
        let result = try eval(["sft/step-000006.h5", "--data", "task/test.jsonl"] + options, in: folder)
        #expect(result.status == 2 && result.errors.contains(message), "\(result.errors)")
    }
}
