import DataFiles
import Foundation
import OrderedJSON

/// The status of a run of another trainer on one screen.
struct TrainerRunText {
    let run: TrainerRun
    /// Seconds since 1970 of the last change of a checkpoint or the log.
    let changed: Double
    /// The cells of a line.
    var width = Terminal.outputColumns

    /// Reads the log and lists the checkpoints; tensors are not read.
    ///
    /// - Throws: `DataFileError` if the log cannot be read or is damaged.
    init(path: String) throws {
        run = try TrainerRun(path: path)
        changed =
            ([path] + run.logs + run.checkpoints.map(\.path) + run.unconverted.map(\.path)).compactMap { path in
                var status = stat()
                return stat(path, &status) == 0 ? Double(status.st_mtim.tv_sec) : nil
            }.max() ?? 0
    }

    var lines: [String] {
        var lines = [Style.bold(run.path) + "  " + title]
        lines += RunText.section("states", statesText, width: width)
        if !run.unconverted.isEmpty {
            let text =
                "\(run.unconverted.map { String($0.step) }.shortened()): shards that only the trainer reads"
                + (run.conversion.map { "; this converts the first: \($0)" } ?? "")
            lines += RunText.section("shards", Style.yellow(text), width: width)
        }
        lines += RunText.section("metrics", metricsText, width: width)
        if !run.logs.isEmpty {
            lines += RunText.section("log", run.logs.prefix(3).joined(separator: ", "), width: width)
        }
        lines += RunText.section("next", "ckpt diff \(RunText.quoted(run.path))", width: width)
        return lines
    }

    /// The trainer and the step.
    var title: String { "\(run.trainer) run" + (run.newestStep == nil ? "" : ", step \(progress)") }

    private var statesText: String {
        guard !run.checkpoints.isEmpty else { return "none in the form of Hugging Face" }
        let steps = run.checkpoints.map { String($0.step) }
        return "\(steps.count), of step\(steps.count == 1 ? "" : "s") \(steps.shortened())"
    }

    private var metricsText: String {
        guard let step = run.metrics.steps.last else { return "none" }
        return "step \(step): " + metrics.joined(separator: ", ")
    }

    /// The last value of the most important metrics of each group.
    private var telling: [(name: String, value: Double)] {
        let steps = run.metrics.steps
        let groups: [MetricText.Group] = [.reward, .right, .tokens, .policy, .loss]
        let names = MetricText.sorted(run.metrics.names)
        return groups.flatMap { group in
            names.filter { MetricText.Group($0) == group }.lazy.compactMap { name in
                run.metrics.values(name, at: steps).last(where: \.isFinite).map { (name, $0) }
            }.prefix(2)
        }
    }

    /// See `schemas/inspect-report.schema.json` and `schemas/runs-report.schema.json`.
    var json: JSON {
        [
            "kind": "trainer_run", "path": .string(run.path), "trainer": .string(run.trainer),
            "step": run.newestStep.map { .integer($0) } ?? .null,
            "total_steps": run.totalSteps.map { .integer($0) } ?? .null,
            "last_logged_step": run.metrics.steps.last.map { .integer($0) } ?? .null, "changed": .double(changed),
            "states": Self.json(run.checkpoints), "unconverted": Self.json(run.unconverted),
            "metrics": .object(JSONObject(telling.map { ($0.name, .double($0.value)) })),
            "logs": .array(run.logs.map { .string($0) }),
        ]
    }

    private static func json(_ checkpoints: [TrainerRun.Checkpoint]) -> JSON {
        .array(checkpoints.map { ["path": .string($0.path), "step": .integer($0.step)] })
    }
}

extension TrainerRun {
    /// The command that converts the first checkpoint whose weights are in shards; nil if there is none, or no command.
    var conversion: String? {
        guard trainer == "verl", let first = unconverted.first else { return nil }
        let name = first.path.split(separator: "/").last ?? ""
        // The trainer of SFT has no folder for the actor.
        let actor = first.path + "/actor"
        let shards = FileManager.default.fileExists(atPath: actor) ? actor : first.path
        return "python -m verl.model_merger merge --backend fsdp --local_dir \(shards) --target_dir merged/\(name)"
    }
}

extension TrainerRunText: RunLine {
    var path: String { run.path }
    var stage: String { run.trainer }

    /// For example "300 of 500".
    var progress: String {
        guard let step = run.newestStep else { return "–" }
        return "\(step)" + (run.totalSteps.map { " of \($0)" } ?? "")
    }

    var endingWord: String {
        guard let step = run.newestStep, let total = run.totalSteps else { return "–" }
        return step >= total ? "finished" : "unfinished"
    }

    var metrics: [String] {
        telling.map { "\(MetricText.title($0.name)) \(MetricText.number($0.name)($0.value))" }
    }
}
