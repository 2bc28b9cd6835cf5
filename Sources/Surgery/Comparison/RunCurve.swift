import CheckpointIO
import Foundation
import OrderedJSON

/// The course of a training run over its steps, from the histories and probes that its checkpoints carry.
public struct RunCurve: Sendable {
    /// One saved state of the run.
    public struct State: Sendable {
        public let path: String
        public let step: Int
        public let kind: CheckpointKind
        public let digest: String
    }

    /// One metric over the steps; NaN where it was not logged.
    public struct Series: Sendable {
        public let name: String
        public let values: [Double]
    }

    /// Mode preference over the snapshots of one probe table.
    public struct Preference: Sendable {
        public let steps: [Int]
        public let prompts: [String]
        public let promptLevels: [String]
        /// Distinct levels, sorted as numbers where they are numbers.
        public let levels: [String]
        /// `[snapshots][prompts]`
        public let think: [[Double]]
        public let short: [[Double]]

        /// Mean P(`<think>`) at each snapshot, over all prompts or those of one level.
        public func meanThink(level: String? = nil) -> [Double] {
            think.map { row in
                average(zip(row, promptLevels).filter { level == nil || $0.1 == level }.map(\.0))
            }
        }

        /// Counts of prompts by P(`<think>`), in equal bins from 0 to 1, at each snapshot.
        public func histograms(bins: Int = 10) -> [[Int]] {
            think.map { ModePreferenceChange.histogram($0, bins: bins) }
        }
    }

    /// Where the curve was read from: a folder, or the first and the last file.
    public let path: String
    /// `rl` or `sft`.
    public let run: String
    public let states: [State]
    public let steps: [Int]
    public let series: [Series]
    public let preference: Preference?
    /// How the newest state came to be, oldest first.
    public let lineage: [LineageEntry]
    /// The options the run was started with, where its newest training state has them.
    public let options: JSON?
    /// Which layers moved when; nil until somebody has the states compared.
    public var weights: WeightTrajectory?

    public subscript(name: String) -> [Double]? { series.first { $0.name == name }?.values }

    /// Reads the curve of a folder of checkpoints.
    ///
    /// - Throws: `SurgeryError.notComparable` where the folder holds no checkpoint with a history or a probe.
    public init(folder: String) throws { try self.init(files: try Self.files(in: folder), path: folder) }

    /// Opens the checkpoints of a run's folder.
    ///
    /// - Throws: `SurgeryError.notComparable` where there is none.
    public static func files(in folder: String) throws -> [CheckpointFile] {
        let entries: [String]
        do {
            entries = try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            throw SurgeryError.notComparable(path: folder, reason: "cannot be listed; name a run's folder")
        }
        let paths = entries.filter { $0.hasSuffix(".h5") }.sorted().map {
            folder.hasSuffix("/") ? folder + $0 : folder + "/" + $0
        }
        guard !paths.isEmpty else {
            throw SurgeryError.notComparable(path: folder, reason: "holds no .h5 file; name a run's folder")
        }
        return try paths.map { try CheckpointFile(path: $0) }
    }

    /// Reads the curve of several files of one run, in the order of their steps. Every checkpoint carries the history
    /// up to its step, so the newest one's is the whole curve; earlier ones fill in what it lacks.
    public init(files: [CheckpointFile], path: String) throws {
        let files = files.sorted { ($0.metadata.step, $0.path) < ($1.metadata.step, $1.path) }
        guard let newest = files.last(where: { !$0.metadata.history.isEmpty || !$0.metadata.probes.isEmpty }) else {
            throw SurgeryError.notComparable(
                path: path,
                reason: "no training history and no probe in these checkpoints; `ckpt diff A B` compares two")
        }
        self.path = path
        states = files.map {
            State(path: $0.path, step: $0.metadata.step, kind: $0.metadata.kind, digest: $0.digest)
        }
        // The run is the one that was still going on at the end: a state of rl carries its sft history along.
        let history = newest.metadata.history
        run =
            (history["rl"]?.rowCount ?? 0) > 0
            ? "rl" : history.keys.contains("sft") ? "sft" : history.keys.sorted().first ?? "rl"
        let metrics = history[run]
        steps = metrics?["step"]?.map { $0.isFinite ? Int($0) : 0 } ?? []
        series =
            metrics?.names.filter { $0 != "step" }.compactMap { name in
                metrics?[name].map { Series(name: name, values: $0) }
            } ?? []
        preference = Self.preference(files)
        lineage = newest.metadata.lineage.compactMap(LineageEntry.init(text:))
        let state = files.reversed().lazy.compactMap(\.metadata.trainingState).first.flatMap { try? JSON.parse($0) }
        options = state?["options"] ?? lineage.last?.arguments
    }

    /// The newest file's newest table, with snapshots that only earlier files have put in front.
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
            steps: steps, prompts: table.prompts, promptLevels: table.levels,
            levels: ModePreferenceChange.levelNames(table.levels), think: steps.compactMap { rows[$0]?.think },
            short: steps.compactMap { rows[$0]?.short })
    }
}
