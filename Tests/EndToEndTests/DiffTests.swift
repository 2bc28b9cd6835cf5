import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// `ckpt diff` on the tiny run.
@Suite struct DiffTests {
    @Test func probeMeasuresBothModels() throws {
        let folder = try TinyRun.made.get().folder
        let result = try Command.ckpt(
            "diff", "tokens.h5", "sft/step-000006.h5", "--probe", "task/dev-pairs.jsonl", in: folder)
        #expect(result.status == 1, "\(result.errors)")
        for text in ["both models asked now", "prompts changed sides", "KL(A‖B) mean", "mean where a response begins"] {
            #expect(result.output.contains(text), "\(text)")
        }
        #expect(result.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
        let json = try Command.ckpt(
            "diff", "tokens.h5", "sft/step-000006.h5", "--probe", "task/dev-pairs.jsonl", "--json", in: folder)
        let report = try JSON.parse(json.output)
        let divergence = try #require(report["behavior"]?["divergence"])
        #expect((divergence["kl_mean"]?.double ?? 0) > 0)
        #expect(divergence["places"]?.int ?? 0 > 100)
        // A model compared with itself.
        let same = try Command.ckpt(
            "diff", "sft/step-000006.h5", "sft/step-000006.h5", "--probe", "task/probe.jsonl", "--json", in: folder)
        #expect(same.status == 0)
        let still = try JSON.parse(same.output)
        #expect(still["behavior"]?["divergence"]?["kl_max"]?.double ?? 1 < 1e-5)
        #expect(still["mode_preference"]?["changed_sides"]?.int == 0)
    }

    @Test func stepsNameTheirStages() throws {
        let folder = try TinyRun.made.get().folder
        func diff(_ a: String, _ b: String) throws -> String { try Command.ckpt("diff", a, b, in: folder).output }
        #expect(try diff("tokens.h5", "rl/step-000004.h5").contains("by train-sft, train-rl; step 0 → rl step 4\n"))
        #expect(try diff("sft/step-000002.h5", "sft/step-000006.h5").contains("; step 2 → 6\n"))
        let stages = try diff("sft/step-000006.h5", "rl/step-000004.h5")
        #expect(stages.contains("; sft step 6 → rl step 4\n"))
        #expect(stages.contains("snapshots of sft step 6 → rl step 4\n"))
    }

    @Test func whatOneSideLacksIsLeftOut() throws {
        let folder = try TinyRun.made.get().folder
        let added = try Command.ckpt("diff", "base.h5", "tokens.h5", in: folder).output
        #expect(added.contains("  1 of 20 tensors differs in shape or type; "))
        #expect(added.contains("  <think>   id 257 (added)      row norm 0."))
        #expect(!added.contains("none"))
        let removed = try Command.ckpt("diff", "tokens.h5", "base.h5", in: folder).output
        #expect(removed.contains("  <think>   id 257 (removed)    row norm 0."))
    }

    @Test func aModelWithoutControlTokensHasNoPreference() throws {
        let folder = try TinyRun.made.get().folder
        let result = try Command.ckpt("diff", "base.h5", "tokens.h5", "--probe", "task/probe.jsonl", in: folder)
        #expect(result.status == 1, "\(result.errors)")
        #expect(result.output.contains("note: A has no control tokens, so it has no preference for a mode"))
        #expect(result.output.contains("KL(A‖B) mean"))
    }

    @Test func aRunShowsWhenEachLayerMoved() throws {
        let folder = try TinyRun.made.get().folder
        let text = try Command.ckpt("diff", "sft", in: folder)
        #expect(text.output.contains("Which layers moved when"))
        #expect(text.output.contains("layer 1"))
        let json = try JSON.parse(try Command.ckpt("diff", "sft", "--json", in: folder).output)
        let intervals = try #require(json["weights"]?.array)
        #expect(intervals.map { $0["to"]?.int } == [4, 6])
        #expect(intervals.allSatisfy { ($0["relative_change"]?.double ?? 0) > 0 })
        let without = try Command.ckpt("diff", "sft", "--no-weights", in: folder)
        #expect(!without.output.contains("Which layers"))
        let files = try Command.ckpt(
            "diff", "sft/step-000002.h5", "sft/step-000004.h5", "sft/step-000006.h5", in: folder)
        #expect(files.output.contains("Which layers moved when"))
    }

    @Test func aRunStartsFromItsFirstState() throws {
        let folder = try TinyRun.made.get().folder
        let own = try TemporaryFolder()
        let trained = try Command.ckpt(
            "train-sft", folder.path("tokens.h5"), "--data", folder.path("task/train.jsonl"), "-o", "run", "--steps",
            "2", "--batch-pairs", "4", "--save-every", "1", "--keep-last", "9", in: own)
        #expect(trained.status == 0, "\(trained.errors)")
        try FileManager.default.copyItem(atPath: folder.path("tokens.h5"), toPath: own.path("run/step-000000.h5"))
        let json = try JSON.parse(try Command.ckpt("diff", "run", "--json", in: own).output)
        let first = try #require(json["weights"]?.array?.first)
        #expect(first["from"]?.int == 0)
    }

    @Test func pagesAreCompleteAndSelfContained() throws {
        let folder = try TinyRun.made.get().folder
        for (name, arguments) in [
            ("curve", ["rl"]), ("runs", ["sft", "rl"]),
            ("files", ["tokens.h5", "rl/step-000004.h5", "--probe", "task/dev-pairs.jsonl"]),
        ] {
            let page = "page-\(name).html"
            let result = try Command.run(
                Command.ckptPath, ["diff"] + arguments + ["--html", page, "--force"], in: folder)
            #expect(result.status <= 1, "\(result.errors)")
            let text = try String(contentsOfFile: folder.path(page), encoding: .utf8)
            #expect(text.hasPrefix("<!DOCTYPE html>"))
            #expect(text.hasSuffix("</html>\n"))
            #expect(!text.contains("http://") && !text.contains("https://") && !text.contains("src="))
            for tag in ["section", "figure", "table", "svg", "tbody"] {
                #expect(
                    text.components(separatedBy: "<\(tag)").count == text.components(separatedBy: "</\(tag)>").count)
            }
            try FileManager.default.removeItem(atPath: folder.path(page))
        }
    }

    @Test func colourOnlyOnATerminal() throws {
        let folder = try TinyRun.made.get().folder
        func diff(_ environment: String) throws -> String {
            // script gives the program a terminal.
            try Command.run(
                "/usr/bin/script",
                [
                    "-qec", "env \(environment) \(Command.ckptPath) diff tokens.h5 sft/step-000006.h5 || true",
                    "/dev/null",
                ], in: folder
            ).output
        }
        #expect(try diff("-u NO_COLOR TERM=xterm").contains("\u{1B}[1m"))
        #expect(try !diff("NO_COLOR=1 TERM=xterm").contains("\u{1B}[1m"))
        #expect(try !diff("-u NO_COLOR TERM=dumb").contains("\u{1B}[1m"))
        let piped = try Command.run(
            "/usr/bin/env",
            ["-u", "NO_COLOR", "TERM=xterm", Command.ckptPath, "diff", "tokens.h5", "sft/step-000006.h5"],
            in: folder)
        #expect(!piped.output.contains("\u{1B}"))
    }
}
