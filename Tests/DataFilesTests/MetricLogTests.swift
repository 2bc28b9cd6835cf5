import DataFiles
import Foundation
import TestSupport
import Testing

/// Logs of other trainers: TensorBoard's, W&B's, JSON lines and `trainer_state.json`.
@Suite struct MetricLogTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// The values of a metric by step.
    private func values(_ table: MetricTable, _ name: String) -> [Int: Double] {
        let steps = table.steps
        return Dictionary(zip(steps, table.values(name, at: steps)).filter { !$0.1.isNaN }) { _, last in
            last
        }
    }

    private func fixture(_ name: String) -> String {
        fixturesFolder().appending(path: "logs/\(name)").path
    }

    @Test func tensorBoardScalars() throws {
        var table = MetricTable()
        try EventFile.read(fixture("events.out.tfevents.1.host"), into: &table)
        #expect(table.names == ["train/loss", "reward", "wide"])
        #expect(values(table, "train/loss") == [1: 1.5, 2: 1, 3: 0.5])
        #expect(values(table, "reward") == [1: 0.25, 2: 0.5, 3: 0.75])
        #expect(values(table, "wide") == [1: 1.5, 2: 3, 3: 4.5])
    }

    @Test func weightsAndBiasesHistory() throws {
        var table = MetricTable()
        try WandbFile.read(fixture("run-tiny.wandb"), into: &table)
        #expect(values(table, "train/reward")[6] == 0.5)
        #expect(values(table, "nested/a") == [1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5])
        #expect(values(table, "typed") == [4: 0.25] && values(table, "whole") == [4: -3])
        #expect(!table.names.contains { $0.hasPrefix("_") || $0 == "nested/b" })
    }

    /// Every cut and every changed byte is an error or a shorter log, never a crash or a wrong number.
    @Test(arguments: ["events.out.tfevents.1.host", "run-tiny.wandb"]) func damageIsFound(
        name: String
    ) throws {
        let bytes = Array(try Data(contentsOf: URL(filePath: fixture(name))))
        let read = name.hasSuffix(".wandb") ? WandbFile.read : EventFile.read
        var whole = MetricTable()
        try read(fixture(name), &whole)
        func expectPart(_ changed: [UInt8], _ what: String) throws {
            try Data(changed).write(to: folder.url.appending(path: "log"))
            var table = MetricTable()
            do { try read(folder.path("log"), &table) } catch is DataFileError {}
            for metric in table.names {
                for (step, value) in values(table, metric) {
                    #expect(values(whole, metric)[step] == value, "\(what): \(metric) at \(step)")
                }
            }
        }
        for end in stride(from: 0, to: bytes.count, by: 1 + bytes.count / 400) {
            try expectPart(Array(bytes[..<end]), "cut at \(end)")
        }
        for place in stride(from: 0, to: bytes.count, by: 1 + bytes.count / 400) {
            var changed = bytes
            changed[place] ^= 0x41
            try expectPart(changed, "byte \(place)")
        }
    }

    @Test func linesWithStepsOfSeveralTrainers() throws {
        try FileManager.default.createDirectory(
            atPath: folder.path("global_step_2/actor"), withIntermediateDirectories: true)
        try folder.write("", to: "global_step_2/actor/model_world_size_2_rank_0.pt")
        let lines = [
            #"{"step": 1, "data": {"critic/score/mean": 0.5, "actor/grad_norm": NaN, "note": "x Infinity \" NaN"}}"#,
            #"{"step": 2, "data": {"critic/score/mean": -Infinity}}"#, #"{"step": 3, "da"#,
        ]
        try folder.write(lines.joined(separator: "\n"), to: "metrics.jsonl")
        try folder.write(#"{"step": 1, "prompt": "x"}"#, to: "rollouts.jsonl")
        let run = try TrainerRun(path: folder.path)
        #expect(run.trainer == "verl" && run.checkpoints.isEmpty && run.unconverted.count == 1)
        #expect(values(run.metrics, "critic/score/mean") == [1: 0.5, 2: -.infinity])
        try folder.write(lines.reversed().joined(separator: "\n"), to: "metrics.jsonl")
        #expect(throws: DataFileError.self) { try TrainerRun(path: folder.path) }
    }

    /// verl writes its log beside the folder of all checkpoints, and leaves `data.pt` of checkpoints that it removes.
    @Test func verlsPlaces() throws {
        let run = "checkpoints/sums/grpo"
        for step in 1...3 {
            let model = "\(run)/global_step_\(step)/actor/huggingface"
            try FileManager.default.createDirectory(
                atPath: folder.path(model), withIntermediateDirectories: true)
            try folder.write("", to: "\(run)/global_step_\(step)/data.pt")
            for name in ["config.json", "model.safetensors"] { try folder.write("", to: "\(model)/\(name)") }
        }
        try FileManager.default.removeItem(atPath: folder.path("\(run)/global_step_1/actor"))
        try FileManager.default.createDirectory(atPath: folder.path("sums"), withIntermediateDirectories: true)
        try folder.write(#"{"step": 2, "data": {"critic/score/mean": 0.5}}"# + "\n", to: "sums/grpo.jsonl")
        let found = try TrainerRun(path: folder.path(run))
        #expect(found.checkpoints.map(\.step) == [2, 3] && found.unconverted.isEmpty)
        #expect(values(found.metrics, "critic/score/mean") == [2: 0.5])
        #expect(found.logs.allSatisfy { $0.hasSuffix("/sums/grpo.jsonl") && !$0.contains("//") })

        // Below the run, and under any name, if the lines are verl's.
        try FileManager.default.moveItem(atPath: folder.path("sums"), toPath: folder.path(run + "/sums"))
        // Data in another folder is not read.
        try folder.write("no JSON\n", to: run + "/sums/train.jsonl")
        #expect(values(try TrainerRun(path: folder.path(run)).metrics, "critic/score/mean") == [2: 0.5])
        try folder.write(#"{"step": 2, "loss": 0.25}"# + "\n", to: "given.jsonl")
        let given = try TrainerRun(path: folder.path(run), log: folder.path("given.jsonl"))
        #expect(given.metrics.names == ["loss"])
        #expect(throws: DataFileError.self) {
            try TrainerRun(path: folder.path(run), log: folder.path(run + "/global_step_2"))
        }

        for place in ["global_step_3", "global_step_3/", "global_step_3/actor"] {
            let model = TrainerRun.model(inCheckpoint: folder.path(run + "/" + place))
            #expect(model == folder.path(run + "/global_step_3/actor/huggingface"), "\(place)")
        }
        for place in ["", "/global_step_1", "/global_step_3/actor/huggingface", "/sums/grpo.jsonl"] {
            #expect(TrainerRun.model(inCheckpoint: folder.path(run + place)) == nil, "\(place)")
        }
    }

    /// verl's model_merger puts the adapter of a LoRA run into the folder of the base, which never changes.
    @Test func adapterInTheFolderOfItsBase() throws {
        for step in 1...2 {
            let model = "global_step_\(step)"
            try FileManager.default.createDirectory(
                atPath: folder.path(model + "/lora_adapter"), withIntermediateDirectories: true)
            for name in ["config.json", "model.safetensors", "lora_adapter/adapter_config.json"] {
                try folder.write("", to: "\(model)/\(name)")
            }
        }
        let run = try TrainerRun(path: folder.path)
        #expect(run.checkpoints.map(\.path) == (1...2).map { folder.path("global_step_\($0)/lora_adapter") })
        #expect(run.checkpoints.map(\.base) == (1...2).map { folder.path("global_step_\($0)") })

        // Before model_merger, the weights have names that are PEFT's own.
        let unmerged = "unmerged/global_step_1/actor"
        try FileManager.default.createDirectory(
            atPath: folder.path(unmerged + "/huggingface"), withIntermediateDirectories: true)
        for name in ["config.json", "model.safetensors"] { try folder.write("", to: "\(unmerged)/huggingface/\(name)") }
        for name in ["lora_train_meta.json", "model_world_size_1_rank_0.pt"] {
            try folder.write("", to: "\(unmerged)/\(name)")
        }
        let shards = try TrainerRun(path: folder.path("unmerged"))
        #expect(shards.checkpoints.isEmpty && shards.unconverted.map(\.step) == [1])
    }

    @Test func trainerStateOfTheNewestCheckpoint() throws {
        for (step, loss) in [(2, 1.0), (10, 0.5)] {
            try FileManager.default.createDirectory(
                atPath: folder.path("checkpoint-\(step)"), withIntermediateDirectories: true)
            for name in ["config.json", "model.safetensors"] {
                try folder.write("", to: "checkpoint-\(step)/\(name)")
            }
            try folder.write(
                """
                {"global_step": \(step), "max_steps": 10, "log_history": [
                {"epoch": 0.1, "step": 2, "reward": 0.25, "rewards/accuracy_reward/mean": 0.5, "loss": NaN},
                {"step": \(step), "loss": \(loss), "completions/mean_length": 12}]}
                """, to: "checkpoint-\(step)/trainer_state.json")
        }
        let run = try TrainerRun(path: folder.path + "/")
        #expect(run.trainer == "TRL")
        #expect(run.checkpoints.map(\.step) == [2, 10])
        #expect(run.logs.map { $0.hasSuffix("checkpoint-10/trainer_state.json") } == [true])
        #expect(values(run.metrics, "loss") == [10: 0.5])
        #expect(values(run.metrics, "reward") == [2: 0.25])
    }

    @Test func foldersOfPrimeRLAndOfNoRun() throws {
        #expect(!TrainerRun.isRun(folder.path))
        try FileManager.default.createDirectory(
            atPath: folder.path("weights/step_20"), withIntermediateDirectories: true)
        #expect(!TrainerRun.isRun(folder.path))
        for name in ["config.json", "model.safetensors"] {
            try folder.write("", to: "weights/step_20/\(name)")
        }
        try FileManager.default.createDirectory(
            atPath: folder.path("wandb/run-1"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: fixture("run-tiny.wandb"), toPath: folder.path("wandb/run-1/run-tiny.wandb"))
        let run = try TrainerRun(path: folder.path)
        #expect(run.trainer == "prime-rl" && run.checkpoints.map(\.step) == [20])
        #expect(run.metrics.names.contains("train/reward"))
        #expect(throws: DataFileError.self) { try TrainerRun(path: folder.path("wandb")) }
    }
}
