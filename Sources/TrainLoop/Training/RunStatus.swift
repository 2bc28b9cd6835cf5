import CheckpointIO
import Foundation
import OrderedJSON

/// What the folder of a run holds, and how the run ended.
package struct RunStatus: Sendable {
    package enum Ending: String, Sendable {
        /// A process is training in the folder.
        case running
        /// All steps were made and saved.
        case finished
        /// The run saved its last step, before the last one that was asked for.
        case stopped
        /// The log has steps after the newest state: the run was killed, or it failed.
        case interrupted
        /// The run ended before it had a state.
        case unsaved
    }

    package struct State: Sendable {
        package let path: String
        package let step: Int
        package let byteCount: Int
    }

    package let path: String
    package let ending: Ending
    /// The command that trains: `train-sft` or `train-rl`; nil if no state tells.
    package let command: String?
    /// The objective of reinforcement, for example `degrpo`.
    package let loss: String?
    /// The step of the newest state that can be read.
    package let step: Int?
    package let totalSteps: Int?
    package let states: [State]
    /// Whether the newest state can be resumed from.
    package let canResume: Bool
    package let digest: String?
    package let lineage: [LineageEntry]
    /// The last row of the log, or of the newest state's history.
    package let lastRow: MetricRow
    package let lastLoggedStep: Int?
    /// Seconds since 1970 of the last change of a state or the log.
    package let changed: Double
    /// What is wrong with newer states.
    package let damage: [String]

    /// Whether a folder holds a run: a state `step-000000.h5`, or the mark of a run that has none yet.
    package static func isRun(_ path: String) -> Bool {
        let folder = RunFolder(existing: path)
        return !folder.steps().isEmpty || FileManager.default.fileExists(atPath: folder.unsavedPath)
    }

    /// Reads the status of the run in a folder; tensors are not read.
    ///
    /// - Throws: `RunFolderError.noStates` if it holds no run.
    package init(path: String) throws {
        let folder = RunFolder(existing: path)
        self.path = folder.path
        let isUnsaved = FileManager.default.fileExists(atPath: folder.unsavedPath)
        let steps = folder.steps()
        guard isUnsaved || !steps.isEmpty else { throw RunFolderError.noStates(folder.path, isUnsaved: false) }
        states = steps.map { step in
            let path = folder.checkpointPath(step: step)
            return State(path: path, step: step, byteCount: Self.attributes(path)?.size ?? 0)
        }
        let times = ([folder.metricsPath] + states.map(\.path)).compactMap { Self.attributes($0)?.changed }
        changed = times.max() ?? Self.attributes(folder.path)?.changed ?? 0

        var newest: CheckpointFile?
        var damage: [String] = []
        for state in states.reversed() where newest == nil {
            do { newest = try CheckpointFile(path: state.path) } catch { damage.append("\(error)") }
        }
        self.damage = damage
        let training = newest?.metadata.trainingState.flatMap { try? JSON.parse($0) }
        lineage = newest?.metadata.lineage.compactMap(LineageEntry.init(text:)) ?? []
        let entry = lineage.last { $0.operation.hasPrefix("train-") }
        let options = training?["options"] ?? entry?.arguments
        let name = training?["command"]?.string ?? entry?.operation
        command = [TrainingStage.warmUp, .reinforcement].map(\.command).first { $0 == name }
        loss = options?["loss"]?.string
        totalSteps = options?["steps"]?.int
        step = newest?.metadata.step
        canResume = newest?.metadata.kind == .training
        digest = newest?.digest

        let stage = command == TrainingStage.warmUp.command ? TrainingStage.warmUp : .reinforcement
        let history = newest?.metadata.history[stage.historyKey]
        let saved = history.map { history in
            MetricRow(history.names.map { ($0, history[$0]?.last ?? .nan) })
        }
        let logged = MetricsLog.lastRow(of: folder.metricsPath)
        lastRow = logged ?? saved ?? MetricRow()
        lastLoggedStep = lastRow["step"].map { Int(saturating: $0) }

        if RunLock.isHeld(folder.path) {
            ending = .running
        } else if let step {
            let last = lastLoggedStep ?? step
            ending = last > step ? .interrupted : step >= totalSteps ?? step ? .finished : .stopped
        } else {
            ending = .unsaved
        }
    }

    private static func attributes(_ path: String) -> (size: Int, changed: Double)? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return (Int(status.st_size), Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) / 1e9)
    }
}

/// The folders of runs below a folder.
package enum RunFinder {
    /// How deep and how wide the search goes.
    private static let maximumDepth = 8
    private static let maximumFolders = 100_000

    /// The runs in a folder and below, sorted by path.
    ///
    /// Links are not followed, nor hidden folders, nor those in a run.
    ///
    /// - Parameters:
    ///   - folder: where to search.
    ///   - isRun: whether a folder holds a run.
    /// - Returns: the paths, and whether folders were left out because there are too many.
    /// - Throws: `RunFolderError.noFolder`.
    package static func runs(
        below folder: String, isRun: (String) -> Bool = RunStatus.isRun
    ) throws -> (paths: [String], isComplete: Bool) {
        var isFolder: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder)
        guard isFolder.boolValue else { throw RunFolderError.noFolder(folder, isFile: exists) }
        var found: [String] = []
        var waiting = [(path: folder, depth: 0)]
        var seen = 0
        while let next = waiting.popLast() {
            seen += 1
            guard seen <= maximumFolders else { return (found.sorted(), false) }
            if isRun(next.path) {
                found.append(next.path)
                continue
            }
            guard next.depth < maximumDepth else { continue }
            let names = (try? FileManager.default.contentsOfDirectory(atPath: next.path)) ?? []
            for name in names where !name.hasPrefix(".") {
                let path = next.path.hasSuffix("/") ? next.path + name : next.path + "/" + name
                var status = stat()
                if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
                    waiting.append((path, next.depth + 1))
                }
            }
        }
        return (found.sorted(), true)
    }
}
