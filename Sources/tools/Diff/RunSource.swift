import CheckpointIO
import DataFiles
import Foundation
import Surgery
import TrainLoop

/// A run that `diff` shows: the folder of one of ours or of another trainer's, or several checkpoints.
struct RunSource {
    private(set) var curve: RunCurve
    /// The checkpoints by step, which are opened when they are needed.
    private let states: [(step: Int, open: () throws -> CheckpointFile)]
    /// What is missing.
    private(set) var notes: [String] = []

    /// Whether a path is the folder of a run, and not one model.
    static func isRun(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
            return false
        }
        // The folder of another trainer often holds the last model beside the checkpoints.
        return TrainerRun.isRun(path) || !ModelReader.isModelFolder(path)
    }

    /// Several checkpoints of one run.
    ///
    /// - Throws: `SurgeryError.notComparable` if none has a history or a probe.
    init(_ files: [CheckpointFile], path: String) throws {
        let sorted = files.sorted { ($0.metadata.step, $0.path) < ($1.metadata.step, $1.path) }
        curve = try RunCurve(files: sorted, path: path)
        states = sorted.map { file in (file.metadata.step, { file }) }
    }

    /// The run in a folder; `log` is the log of another trainer that does not stand there.
    ///
    /// - Throws: errors of reading its checkpoints or its log.
    init(folder: String, log: String?, _ models: ModelArguments) throws {
        guard !RunStatus.isRun(folder), TrainerRun.isRun(folder) else {
            guard log == nil else {
                throw SurgeryError.badOption(name: "--log", reason: "is for the run of another trainer")
            }
            self = try RunSource(try RunCurve.files(in: folder), path: folder)
            return
        }
        let run = try TrainerRun(path: folder, log: log)
        let steps = run.metrics.steps
        curve = RunCurve(
            path: folder, trainer: run.trainer,
            states: run.checkpoints.map { RunCurve.State(path: $0.path, step: $0.step, kind: .model, digest: nil) },
            steps: steps,
            series: run.metrics.names.map {
                RunCurve.Series(name: $0, values: run.metrics.values($0, at: steps))
            })
        states = run.checkpoints.map { checkpoint in (checkpoint.step, { try models.open(checkpoint) }) }
        if run.logs.isEmpty { notes.append("no log of metrics was found below the folder; --log names one") }
        if let first = run.unconverted.first {
            let count = run.unconverted.count
            notes.append(
                "\(Format.counted(count, "checkpoint")) \(count == 1 ? "has" : "have") no model in the form of Hugging "
                    + "Face, the first at \(first.path)" + (run.conversion.map { "; this converts it: \($0)" } ?? ""))
        }
    }

    /// Asks each checkpoint which of two modes it prefers, at most 25 of them.
    ///
    /// - Throws: errors of the file of problems, and of opening, loading and asking a model.
    mutating func ask(_ path: String, modes: ModeNames?) throws {
        let chosen = WeightTrajectory.chosen(states)
        guard !chosen.isEmpty else { return }
        let bar = ProgressBar("asking", total: chosen.count, unit: .count("models"))
        bar.begin()
        defer { bar.finish() }
        let table = try RunProbe.table(chosen, try ModeProbe.problems(in: path), modes: modes) { bar.update($0) }
        curve.preference = RunCurve.Preference(table)
        if let modes { curve.preference?.modes = (modes.think, modes.short) }
    }

    /// Compares each checkpoint with the one before it.
    ///
    /// - Throws: an error of opening or reading.
    mutating func compareWeights() throws {
        let chosen = try WeightTrajectory.chosen(states).map { (step: $0.step, file: try $0.open()) }
        let bar = ProgressBar("comparing states", total: WeightTrajectory.byteCount(chosen), unit: .bytes)
        curve.weights = try WeightTrajectory(chosen, progress: { bar.update($0) })
        bar.finish()
    }
}
