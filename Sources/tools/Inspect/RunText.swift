import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop

/// The status of a run on one screen.
struct RunText {
    let status: RunStatus
    /// The cells of a line.
    var width = Terminal.outputColumns

    private static let labelWidth = 11
    /// The most informative metrics, in the order to show them.
    private static let telling = [
        "reward_mean", "acc", "acc_think", "acc_short", "response_length_mean", "eval_acc", "eval_loss", "loss",
        "p_think_mean", "grad_norm",
    ]

    var lines: [String] {
        var lines = [Style.bold(status.path) + "  " + title]
        func section(_ label: String, _ text: String) { lines += Self.section(label, text, width: width) }
        section("ended", endingText)
        if !status.lineage.isEmpty { section("from", LineageText.origin(status.lineage) ?? "no training") }
        section("states", statesText)
        section("metrics", metricsText)
        section(status.ending == .finished ? "extend" : "resume", remedy)
        for damage in status.damage { section("warning", Style.yellow(damage)) }
        if let digest = status.digest { section("digest", digest) }
        return lines
    }

    /// A text with its label, in lines of at most `width` cells.
    static func section(_ label: String, _ text: String, width: Int) -> [String] {
        text.wrapped(to: width - labelWidth).enumerated().map { index, line in
            Style.faint(Format.column(index == 0 ? label : "", labelWidth)) + line
        }
    }

    /// The stage and the step.
    var title: String {
        let stage = status.command.map { $0 + (status.command == "train-rl" ? objective : "") } ?? "run"
        return stage + (status.step == nil ? "" : ", step \(progress)")
    }

    private var objective: String { status.loss.map { " (\($0.onOneLine(limit: 40)))" } ?? "" }

    /// For example "60 of 220".
    var progress: String {
        guard let step = status.step else { return "–" }
        return "\(step)" + (status.totalSteps.map { " of \($0)" } ?? "")
    }

    /// How the run ended, in a word.
    var endingWord: String {
        switch status.ending {
        case .running: "running"
        case .finished: "finished"
        case .stopped: "stopped"
        case .interrupted: "killed"
        case .unsaved: "no state"
        }
    }

    private var endingText: String {
        switch status.ending {
        case .running: return Style.green("running now")
        case .finished: return "finished; all steps were made and saved"
        case .stopped: return "stopped early and saved its last step"
        case .interrupted:
            return Style.yellow(
                "killed or failed after step \(status.lastLoggedStep ?? 0); what followed step \(status.step ?? 0) is "
                    + "not saved")
        case .unsaved: return Style.yellow("ended before its first state was saved")
        }
    }

    private var statesText: String {
        guard !status.states.isEmpty else { return "none" }
        let steps = status.states.map { String($0.step) }
        let bytes = Format.bytes(status.states.reduce(0) { $0 + $1.byteCount })
        return "\(steps.count), of step\(steps.count == 1 ? "" : "s") \(steps.shortened()); \(bytes)"
    }

    private var metricsText: String {
        guard let step = status.lastLoggedStep else { return "none" }
        return "step \(step): " + metrics.joined(separator: ", ")
    }

    /// The most informative metrics of the last step.
    var metrics: [String] {
        var parts: [String] = []
        let (think, short) = (status.lastRow["num_think"], status.lastRow["num_short"])
        if let think, let short, think + short > 0 {
            parts.append("think share \(Format.percent(think / (think + short)))")
        }
        for name in Self.telling {
            guard let value = status.lastRow[name], value.isFinite else { continue }
            // The loss of reinforcement says nothing.
            guard name != "loss" || status.lastRow["reward_mean"] == nil else { continue }
            parts.append("\(MetricText.title(name)) \(MetricText.number(name)(value))")
        }
        return parts
    }

    /// What resumes or extends the run.
    private var remedy: String {
        let command = "ckpt \(status.command ?? "train-rl") --resume \(Self.quoted(status.path))"
        switch status.ending {
        case .running: return "wait until it has ended; then \(command)"
        case .unsaved: return "start it again with the command that began it"
        case _ where !status.canResume:
            let newest = status.states.last.map { Self.quoted($0.path) } ?? ""
            return "no state has optimizer and training state; start a new run from \(newest)"
        case .finished: return "\(command) --steps N, with N over \(status.totalSteps ?? 0)"
        case .stopped, .interrupted: return command
        }
    }

    /// The path as a shell reads it.
    static func quoted(_ path: String) -> String {
        let isPlain = path.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 32) || "0123456789/._-+=@%".utf8.contains(byte)
        }
        return isPlain ? path : "'" + path.replacing("'", with: "'\\''") + "'"
    }

    /// See `schemas/inspect-report.schema.json` and `schemas/runs-report.schema.json`.
    var json: JSON {
        [
            "kind": "run", "path": .string(status.path), "ending": .string(status.ending.rawValue),
            "command": status.command.map { .string($0) } ?? .null, "loss": status.loss.map { .string($0) } ?? .null,
            "step": status.step.map { .integer($0) } ?? .null,
            "total_steps": status.totalSteps.map { .integer($0) } ?? .null,
            "last_logged_step": status.lastLoggedStep.map { .integer($0) } ?? .null,
            "can_resume": .bool(status.canResume), "digest": status.digest.map { .string($0) } ?? .null,
            "parent": origin.map { .string($0) } ?? .null, "changed": .double(status.changed),
            "states": .array(
                status.states.map {
                    ["path": .string($0.path), "step": .integer($0.step), "bytes": .integer($0.byteCount)]
                }),
            "metrics": .object(JSONObject(status.lastRow.values.map { ($0.name, .double($0.value)) })),
            "damage": .array(status.damage.map { .string($0) }),
        ]
    }

    /// The digest of the state that the run started from.
    var origin: String? { status.lineage.last { $0.operation.hasPrefix("train-") }?.parent }
}

extension RunText: RunLine {
    var path: String { status.path }
    var changed: Double { status.changed }

    var stage: String {
        let stage = status.command.map { String($0.dropFirst("train-".count)) } ?? "–"
        return stage + (stage == "rl" ? status.loss.map { " " + $0.onOneLine(limit: 20) } ?? "" : "")
    }
}

extension [String] {
    /// The texts in a row; of many, the first and the last five.
    func shortened() -> String {
        count <= 12
            ? joined(separator: " ") : prefix(5).joined(separator: " ") + " … " + suffix(5).joined(separator: " ")
    }
}
