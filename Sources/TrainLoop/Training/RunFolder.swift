import CheckpointIO
import Foundation
import OrderedJSON

/// The folder of a training run: `step-000000.h5` …, `step-000001.delta.h5` …, `metrics.jsonl`, `tensorboard/`,
/// `rollouts/`.
package struct RunFolder: Sendable {
    package let path: String
    private let lock: RunLock?

    /// An existing folder, to read only.
    package init(existing path: String) {
        self.path = Self.withoutTrailingSlash(path)
        lock = nil
    }

    /// The folder of a run to resume, locked as long as this value or a copy exists.
    ///
    /// - Throws: `RunFolderError.inUse`, `.noFolder` if there is no folder, or `CheckpointError` if a log or a folder
    ///   of logs is a symbolic link.
    package init(resuming path: String) throws {
        self.path = Self.withoutTrailingSlash(path)
        var isFolder: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: self.path, isDirectory: &isFolder)
        guard isFolder.boolValue else { throw RunFolderError.noFolder(self.path, isFile: exists) }
        lock = try RunLock(self.path)
        // What a run writes to stays in its folder.
        for part in [metricsPath, rolloutsPath, tensorBoardPath] { try AtomicFile.refuseLink(at: part) }
    }

    /// A folder for a new run, locked as long as this value or a copy exists.
    ///
    /// The folder is created if it does not exist. `replacing` removes the checkpoints and logs of an earlier run, and
    /// keeps other files. The logs of a run that ended before its first save are removed in any case.
    ///
    /// - Throws: `RunFolderError`, or `CheckpointError` if `path` is a symbolic link or cannot be written to.
    package init(creating path: String, replacing: Bool) throws {
        let path = Self.withoutTrailingSlash(path)
        try AtomicFile.refuseLink(at: path)
        self.path = path
        TemporaryPaths.createFolder(path)
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw RunFolderError.cannotCreate(path, reason: (error as NSError).localizedDescription)
        }
        lock = try RunLock(path)
        TemporaryPaths.removeAbandoned(beside: metricsPath)
        let states = steps().map(checkpointPath) + stepsWithDelta().map(deltaPath)
        let logs = [metricsPath, rolloutsPath, tensorBoardPath].filter(FileManager.default.fileExists)
        let isUnsaved = states.isEmpty && FileManager.default.fileExists(atPath: unsavedPath)
        guard replacing || isUnsaved || (states + logs).isEmpty else { throw RunFolderError.notEmpty(path) }
        for file in states + logs { try FileManager.default.removeItem(atPath: file) }
        let marker = open(unsavedPath, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o666)
        guard marker >= 0 else {
            throw CheckpointError.system(path: unsavedPath, operation: "create the file", code: errno)
        }
        close(marker)
    }

    /// Records that the run has a state to resume from.
    func firstStateIsSaved() { unlink(unsavedPath) }

    /// Removes what a failed run made if it has neither a state nor metrics, and its mark if it has a state.
    package func removeIfNothingWasDone() {
        guard steps().isEmpty else { return firstStateIsSaved() }
        var status = stat()
        guard stat(metricsPath, &status) != 0 || status.st_size == 0 else { return }
        for part in [metricsPath, rolloutsPath, tensorBoardPath] { try? FileManager.default.removeItem(atPath: part) }
        unlink(unsavedPath)
    }

    private static func withoutTrailingSlash(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    package var metricsPath: String { path + "/metrics.jsonl" }
    var rolloutsPath: String { path + "/rollouts" }
    var tensorBoardPath: String { path + "/tensorboard" }
    /// An empty file that exists until the run has a state.
    ///
    /// It tells a run that ended before its first save, whose logs are worthless, from one whose states were deleted.
    var unsavedPath: String { path + "/.unsaved" }

    package func checkpointPath(step: Int) -> String { "\(path)/\(Self.name(ofStep: step)).h5" }
    func deltaPath(step: Int) -> String { path + "/" + Self.name(ofStep: step) + Self.deltaSuffix }
    func rolloutLogPath(step: Int) -> String { "\(rolloutsPath)/\(Self.name(ofStep: step)).jsonl" }

    static func name(ofStep step: Int) -> String {
        let digits = String(step)
        return "step-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }

    private static let deltaSuffix = ".delta.h5"

    /// The steps with a checkpoint, ascending; a delta is not one of them.
    package func steps() -> [Int] { steps(suffix: ".h5") }

    /// The steps that are kept as a delta, ascending.
    func stepsWithDelta() -> [Int] { steps(suffix: Self.deltaSuffix) }

    private func steps(suffix: String) -> [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.compactMap { name in
            guard name.hasPrefix("step-"), name.hasSuffix(suffix) else { return nil }
            return Int(name.dropFirst(5).dropLast(suffix.count))
        }.sorted()
    }

    /// Removes the delta of a step that has a whole state.
    func removeDelta(step: Int) { unlink(deltaPath(step: step)) }

    /// Removes the deltas of steps after `last`, which a killed run made after its last save.
    func removeDeltas(after last: Int) {
        for step in stepsWithDelta() where step > last { removeDelta(step: step) }
    }

    /// Loads the newest training state of the run that is not damaged.
    ///
    /// - Parameters:
    ///   - command: the command that resumes the run, which must have started it.
    ///   - load: loads a state, and checks all of it. If its file is damaged, the state before is tried.
    /// - Returns: what was loaded, its path, and the damage of each newer state.
    /// - Throws: `RunFolderError` if there is nothing to resume or the other stage's command started the run, and
    ///   errors of loading other than damage of the state.
    package func newestState<Loaded>(
        of command: String, load: (CheckpointFile) throws -> Loaded
    ) throws -> (loaded: Loaded, path: String, damaged: [CheckpointError]) {
        var damaged: [CheckpointError] = []
        for step in steps().reversed() {
            let path = checkpointPath(step: step)
            do {
                let file = try CheckpointFile(path: path)
                guard file.metadata.kind == .training else { continue }
                try checkCommand(of: file, is: command)
                return (try load(file), path, damaged)
            } catch let error as CheckpointError where error.isDamage(of: path) {
                damaged.append(error)
            }
        }
        if steps().isEmpty {
            throw RunFolderError.noStates(path, isUnsaved: FileManager.default.fileExists(atPath: unsavedPath))
        }
        throw RunFolderError.nothingToResume(path, newest: damaged.first)
    }

    /// Checks that a training state is one of a command.
    ///
    /// - Throws: `RunFolderError.otherCommand`.
    private func checkCommand(of file: CheckpointFile, is command: String) throws {
        let stored = try? JSON.parse(file.metadata.trainingState ?? "")
        let stages: [TrainingStage] = [.warmUp, .reinforcement]
        if let other = stages.map(\.command).first(where: { $0 != command && stored?["command"]?.string == $0 }) {
            throw RunFolderError.otherCommand(path, found: other)
        }
    }

    /// Turns training states up to a step into plain models, except the newest `count`, by copying compressed chunks.
    ///
    /// Damaged checkpoints stay, and so do links and the checkpoints of later steps, which a resumed run passed over.
    ///
    /// - Throws: errors of reading and writing checkpoints.
    func retire(keepingLast count: Int, until last: Int) throws {
        for step in steps().filter({ $0 <= last }).dropLast(count)
        where !AtomicFile.isLink(checkpointPath(step: step)) {
            let file: CheckpointFile
            do {
                file = try CheckpointFile(path: checkpointPath(step: step))
            } catch let error as CheckpointError where error.isDamage {
                continue
            }
            guard file.metadata.kind == .training else { continue }
            var metadata = file.metadata
            metadata.kind = .model
            metadata.optimizer = nil
            metadata.trainingState = nil
            // A file that keeps only the adapter stays one.
            if metadata.adaptedWeights.isEmpty { metadata.adapter = nil }
            let weights = file.tensors(in: metadata.adapter == nil ? .weights : .adapter).map {
                TensorToWrite(group: $0.group, description: $0.description, content: .copy(file, $0))
            }
            _ = try CheckpointWriter.write(metadata, tensors: weights, to: file.path, overwrite: true)
        }
    }
}

extension CheckpointError {
    /// Whether the file was read, and its content is not that of a checkpoint.
    fileprivate var isDamage: Bool {
        switch self {
        case .damaged, .unsupported: true
        default: false
        }
    }

    /// Whether this is damage of the file at a path.
    fileprivate func isDamage(of path: String) -> Bool {
        switch self {
        case .damaged(let damaged, _, _), .unsupported(let damaged, _, _): damaged == path
        default: false
        }
    }
}

/// A run's folder that cannot be used.
package enum RunFolderError: Error, CustomStringConvertible {
    case notEmpty(String)
    case noStates(String, isUnsaved: Bool)
    case nothingToResume(String, newest: CheckpointError?)
    case noFolder(String, isFile: Bool)
    case otherCommand(String, found: String)
    case cannotCreate(String, reason: String)
    case inUse(String)

    package var description: String {
        switch self {
        case .notEmpty(let path):
            "\(path): already holds a run; give another folder, --resume \(path) to continue it, or --force to "
                + "replace it"
        case .noStates(let path, let isUnsaved):
            isUnsaved
                ? "\(path): the run ended before its first state; start it again with the command that began it"
                : "\(path): is not the folder of a run: it has no step-*.h5; give --resume the folder that was -o"
        case .nothingToResume(let path, let damage?):
            "\(path): holds no complete checkpoint of a training state to resume from; \(damage)"
        case .nothingToResume(let path, nil):
            "\(path): its states have no optimizer and training state to resume from; start a new run from one of them"
        case .noFolder(let path, let isFile):
            isFile
                ? "\(path): is not a folder; give the folder of a run"
                : "\(path): there is no such folder; check the path"
        case .otherCommand(let path, let found):
            "\(path): this is a run of \(found); resume it with ckpt \(found) --resume \(path)"
        case .cannotCreate(let path, let reason): "\(path): cannot create the folder: \(reason)"
        case .inUse(let path): "\(path): another process is training in this folder; wait until it has ended"
        }
    }
}
