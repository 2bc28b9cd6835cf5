import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing

/// What a reader sees of runs: the verdict of `diff`, `inspect RUN`, `runs`, and the width of all of them.
@Suite struct RunViewTests {
    @Test(arguments: [60, 80]) func everythingFitsTheScreen(columns: Int) throws {
        let folder = try TinyRun.made.get().folder
        for arguments in [
            ["diff", "rl"], ["diff", "sft"], ["diff", "sft", "rl"],
            ["diff", "sft/step-000006.h5", "rl/step-000004.h5"],
            ["diff", "tokens.h5", "sft/step-000006.h5", "--probe", "task/dev-pairs.jsonl"],
            ["diff", "base.h5", "tokens.h5"], ["inspect", "rl/step-000004.h5"], ["inspect", "tokens.h5"],
            ["inspect", "rl"], ["runs", "."],
        ] {
            let result = try Command.run(
                Command.ckptPath, arguments, in: folder, environment: ["COLUMNS": "\(columns)"])
            #expect(result.status <= 1, "\(arguments): \(result.errors)")
            for line in result.output.split(separator: "\n") where line.count > columns {
                // A word alone may be longer: a path or a digest.
                #expect(line.split(separator: " ").count <= 2, "\(arguments), \(line.count): \(line)")
            }
        }
    }

    @Test func theVerdictTellsTheStory() throws {
        let folder = try TinyRun.made.get().folder
        let curve = try Command.run(Command.ckptPath, ["diff", "rl"], in: folder, environment: ["COLUMNS": "120"])
        #expect(curve.output.contains("trained by train-rl (degrpo) from "))
        #expect(curve.output.contains("which init → add-tokens → train-sft"))
        #expect(curve.output.contains("think share ") && curve.output.contains("reward "))
        let lines = curve.output.split(separator: "\n")
        // The loss of reinforcement says least, so it is last.
        #expect(lines.last?.contains("more in --json") == true || lines.suffix(5).contains { $0.contains("loss") })
        let two = try Command.ckpt("diff", "sft", "rl", in: folder)
        let first = try #require(two.output.split(separator: "\n").first)
        #expect(
            ["A ended better", "B ended better", "both ended alike", "no metric of both runs decides"].contains(first))
        let json = try JSON.parse(try Command.ckpt("diff", "rl", "--json", in: folder).output)
        let quantities = try #require(json["story"]?["changes"]?.array).compactMap { $0["quantity"]?.string }
        #expect(quantities.contains("think_share") && quantities.contains("reward"))
        let files = try Command.ckpt("diff", "sft/step-000002.h5", "sft/step-000006.h5", in: folder)
        #expect(files.output.contains(" loss "))
    }

    @Test func aRunShowsHowItEnded() throws {
        let whole = try TinyRun.made.get().folder
        let finished = try Command.ckpt("inspect", "rl", in: whole)
        #expect(finished.status == 0, "\(finished.errors)")
        #expect(finished.output.contains("train-rl (degrpo), step 4 of 4"))
        #expect(finished.output.contains("finished"))
        #expect(finished.output.contains("ckpt train-rl --resume rl --steps N, with N over 4"))
        func ending(_ folder: TemporaryFolder) throws -> String? {
            try JSON.parse(try Command.ckpt("inspect", "rl", "--json", in: folder).output)["ending"]?.string
        }
        #expect(try ending(whole) == "finished")

        let folder = try TemporaryFolder()
        try FileManager.default.copyItem(atPath: whole.path("rl"), toPath: folder.path("rl"))
        try FileManager.default.removeItem(atPath: folder.path("rl/step-000004.h5"))
        #expect(try ending(folder) == "interrupted")
        #expect(try Command.ckpt("inspect", "rl", in: folder).output.contains("after step 4"))
        let log = try String(contentsOfFile: folder.path("rl/metrics.jsonl"), encoding: .utf8)
        try folder.write(
            log.split(separator: "\n").prefix(3).joined(separator: "\n") + "\n{\"step\":4,", to: "rl/metrics.jsonl")
        #expect(try ending(folder) == "stopped")
        // A damaged newest state: the one before counts.
        try folder.write("no HDF5", to: "rl/step-000003.h5")
        let damaged = try JSON.parse(try Command.ckpt("inspect", "rl", "--json", in: folder).output)
        #expect(damaged["step"]?.int == 2 && damaged["damage"]?.array?.count == 1)
        for name in try folder.names(in: "rl") where name.hasSuffix(".h5") {
            try FileManager.default.removeItem(atPath: folder.path("rl/" + name))
        }
        #expect(try Command.ckpt("inspect", "rl", in: folder).status == 2)
        try folder.write("", to: "rl/.unsaved")
        #expect(try ending(folder) == "unsaved")
        #expect(try Command.ckpt("inspect", "rl", "config", in: folder).errors.contains("is the folder of a run"))
    }

    @Test func aRunThatIsLockedIsRunning() throws {
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        try FileManager.default.copyItem(atPath: whole.path("rl"), toPath: folder.path("rl"))
        let descriptor = open(folder.path("rl"), O_RDONLY | O_DIRECTORY)
        defer { close(descriptor) }
        #expect(flock(descriptor, LOCK_EX) == 0)
        #expect(try Command.ckpt("inspect", "rl", in: folder).output.contains("running now"))
    }

    @Test func runsAreFoundBelowAFolder() throws {
        // Other tests make runs in the folder of the tiny run.
        let whole = try TinyRun.made.get().folder
        let folder = try TemporaryFolder()
        for name in ["rl", "sft", "task"] {
            try FileManager.default.copyItem(atPath: whole.path(name), toPath: folder.path(name))
        }
        let result = try Command.ckpt("runs", ".", in: folder)
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output.contains("rl degrpo") && result.output.contains("4/4") && result.output.contains("sft"))
        let json = try JSON.parse(try Command.ckpt("runs", ".", "--json", in: folder).output)
        #expect(json["runs"]?.array?.map { $0["command"]?.string } == ["train-rl", "train-sft"])
        let none = try Command.ckpt("runs", "task", in: folder)
        #expect(none.status == 2 && none.errors.contains("has no folder of a run below it"))
        #expect(try Command.ckpt("runs", "nothing", in: folder).status == 2)
    }
}
