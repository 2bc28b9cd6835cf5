import CheckpointIO
import Foundation
import OrderedJSON

/// The metrics of a training run over its steps, from the histories and probes in its checkpoints.
package struct RunCurve: Sendable {
    /// A checkpoint of the run.
    package struct State: Sendable {
        package let path: String
        package let step: Int
        package let kind: CheckpointKind
        /// nil for a model of another trainer, whose tensors would have to be read for it.
        package let digest: String?

        package init(path: String, step: Int, kind: CheckpointKind, digest: String?) {
            (self.path, self.step, self.kind, self.digest) = (path, step, kind, digest)
        }
    }

    /// A metric over the steps; NaN if it was not logged.
    package struct Series: Sendable {
        package let name: String
        package let values: [Double]

        package init(name: String, values: [Double]) { (self.name, self.values) = (name, values) }
    }

    /// The mode preference over the snapshots of a probe table.
    package struct Preference: Sendable {
        /// The texts with which the modes begin.
        package var modes = controlTokens
        package static let controlTokens = (think: "<think>", short: "<short>")
        package let steps: [Int]
        package let prompts: [String]
        package let promptLevels: [String]
        /// The distinct levels, sorted numerically if possible.
        package let levels: [String]
        /// P(`<think>`), `[snapshots][prompts]`.
        package let think: [[Double]]
        /// P(`<short>`), `[snapshots][prompts]`.
        package let short: [[Double]]

        /// The snapshots of a table.
        package init(_ table: ProbeTable) {
            steps = table.steps
            prompts = table.prompts
            promptLevels = table.levels
            levels = ModePreferenceChange.levelNames(table.levels)
            think = table.pThink
            short = table.pShort
        }

        /// The mean P(`<think>`) at each snapshot, over all prompts or those of one level.
        package func meanThink(level: String? = nil) -> [Double] {
            think.map { row in
                average(zip(row, promptLevels).filter { level == nil || $0.1 == level }.map(\.0))
            }
        }

        /// The mean P(`<short>`) at each snapshot, over the prompts of one level.
        func meanShort(level: String) -> [Double] {
            short.map { row in average(zip(row, promptLevels).filter { $0.1 == level }.map(\.0)) }
        }

        /// The number of prompts by P(`<think>`) at each snapshot, in equal bins from 0 to 1.
        package func histograms(bins: Int = 10) -> [[Int]] {
            think.map { ModePreferenceChange.histogram($0, bins: bins) }
        }
    }

    /// The source of the curve: a folder, or the first and the last file.
    package let path: String
    /// `rl` or `sft`, or the name of another trainer.
    package let run: String
    /// Whether rewards were maximised; the loss then says nothing.
    package let isReinforcement: Bool
    package let states: [State]
    package let steps: [Int]
    package let series: [Series]
    /// From the probe; a caller may replace it with a new measurement.
    package var preference: Preference?
    /// The lineage of the newest checkpoint, oldest entry first.
    package let lineage: [LineageEntry]
    /// The options of the run, from the newest training state or else the lineage.
    package let options: JSON?
    /// The change of each layer between checkpoints; set by the caller.
    package var weights: WeightTrajectory?

    package subscript(name: String) -> [Double]? { series.first { $0.name == name }?.values }

    /// The curve of another trainer's run.
    ///
    /// - Parameters:
    ///   - path: its folder.
    ///   - trainer: what trained.
    ///   - states: its checkpoints.
    ///   - steps: the steps of its log.
    ///   - series: the metrics at these steps.
    package init(path: String, trainer: String, states: [State], steps: [Int], series: [Series]) {
        self.path = path
        run = trainer
        self.states = states
        self.steps = steps
        self.series = series
        isReinforcement = RunQuantity.reward.metric(in: series.map(\.name)) != nil
        preference = nil
        lineage = []
        options = nil
    }

    /// Opens the checkpoints in a folder.
    ///
    /// - Throws: `SurgeryError.notComparable` if there are none.
    package static func files(in folder: String) throws -> [CheckpointFile] {
        let entries: [String]
        do {
            entries = try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            throw SurgeryError.notComparable(path: folder, reason: "cannot be listed; give the folder of a run")
        }
        let paths = entries.filter { $0.hasSuffix(".h5") }.sorted().map {
            folder.hasSuffix("/") ? folder + $0 : folder + "/" + $0
        }
        guard !paths.isEmpty else {
            throw SurgeryError.notComparable(
                path: folder,
                reason: "has no states of a run; give a folder with .h5 files or another trainer's checkpoints")
        }
        return try paths.map { try CheckpointFile(path: $0) }
    }

    /// Reads the curve of several checkpoints of one run.
    ///
    /// A checkpoint has the whole history up to its step, so the newest one is used; older ones only add snapshots of
    /// the probe.
    ///
    /// - Throws: `SurgeryError.notComparable` if none has a history or a probe.
    package init(files: [CheckpointFile], path: String) throws {
        let files = files.sorted { ($0.metadata.step, $0.path) < ($1.metadata.step, $1.path) }
        guard let newest = files.last(where: { !$0.metadata.history.isEmpty || !$0.metadata.probes.isEmpty }) else {
            throw SurgeryError.notComparable(
                path: path,
                reason: "these checkpoints have neither a training history nor a probe; `ckpt diff A B` compares two")
        }
        self.path = path
        states = files.map {
            State(path: $0.path, step: $0.metadata.step, kind: $0.metadata.kind, digest: $0.digest)
        }
        // A checkpoint of an RL run also has the history of its SFT run, so RL comes first.
        let history = newest.metadata.history
        run =
            (history["rl"]?.rowCount ?? 0) > 0
            ? "rl" : history.keys.contains("sft") ? "sft" : history.keys.sorted().first ?? "rl"
        isReinforcement = run == "rl"
        let metrics = history[run]
        steps = metrics?["step"]?.map { Int(saturating: $0) } ?? []
        series =
            metrics?.names.filter { $0 != "step" }.compactMap { name in
                metrics?[name].map { Series(name: name, values: $0) }
            } ?? []
        preference = Self.preference(files)
        lineage = newest.metadata.lineage.compactMap(LineageEntry.init(text:))
        let state = files.reversed().lazy.compactMap(\.metadata.trainingState).first.flatMap { try? JSON.parse($0) }
        options = state?["options"] ?? lineage.last?.arguments
    }

    /// The newest file's newest probe table, extended by snapshots that only older files have.
    private static func preference(_ files: [CheckpointFile]) -> Preference? {
        guard let table = files.reversed().lazy.compactMap({ $0.metadata.probes.last }).first, !table.prompts.isEmpty
        else { return nil }
        var rows: [Int: (think: [Double], short: [Double])] = [:]
        for file in files {
            guard let other = file.metadata.probes.last(where: { $0.prompts == table.prompts }) else { continue }
            for (index, step) in other.steps.enumerated()
            where index < other.pThink.count && index < other.pShort.count {
                rows[step] = (other.pThink[index], other.pShort[index])
            }
        }
        let steps = rows.keys.sorted()
        guard !steps.isEmpty else { return nil }
        return Preference(
            ProbeTable(
                prompts: table.prompts, levels: table.levels, steps: steps,
                pThink: steps.compactMap { rows[$0]?.think }, pShort: steps.compactMap { rows[$0]?.short }))
    }
}
