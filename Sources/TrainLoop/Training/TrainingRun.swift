import CheckpointIO
import Foundation
import OrderedJSON
import Ranks
import Transformer

/// A stage of training that is ready to run.
package protocol StageTrainer {
    /// The command that runs the stage.
    static var command: String { get }
    var state: TrainingState { get }
    var totalSteps: Int { get }
    /// The memory that the run will take.
    var memory: [MemoryUse] { get }

    /// Trains to the last step, or until `shouldStop` asks for an end.
    ///
    /// - Parameters:
    ///   - folder: the run's folder, to which rank 0 alone writes.
    ///   - report: receives the events of the run, on rank 0.
    ///   - shouldStop: whether to save and end, asked after every step; if any rank says so, all end.
    /// - Returns: the path of the last state saved.
    /// - Throws: `TrainingFailure`, and errors of writing.
    mutating func run(
        in folder: RunFolder, report: @escaping TrainingReport, shouldStop: @escaping () -> Bool
    ) throws -> String
}

/// A run of either stage while it trains: folder and lock, logs, mode probe, saves, and the request to stop.
///
/// The loop belongs to the stage, which calls `probe`, `record` and `save` at its own steps. The state that changes
/// from step to step is passed in, so that each call shows what it changes. Rank 0 logs and saves; the others go along.
struct TrainingRun {
    let stage: TrainingStage
    /// The run's folder, locked by this value.
    let folder: RunFolder
    let encoder: PromptEncoder
    let ranks: RankGroup
    /// Receives the events of the run; those of other ranks than 0 go nowhere.
    let report: TrainingReport
    /// Whether this rank was asked to save and end.
    private let shouldStop: () -> Bool
    /// The newest state of the run; nil before the first.
    private(set) var lastSaved: String?
    /// nil on other ranks than 0.
    private let log: RunLog?
    /// The newest state of the run, whole or a delta, that the next delta is based on; nil until it is needed.
    private var kept: CheckpointFile?
    /// Deltas since the last whole state.
    private(set) var deltaCount = 0
    /// Deltas between two whole states, at most: to read the last, all of them are read.
    static let mostDeltas = 32

    /// Opens the logs, and drops rows of steps that a killed run made after its last save.
    ///
    /// - Throws: `DataFileError`.
    init(
        _ stage: TrainingStage, in folder: RunFolder, from state: TrainingState, encoder: PromptEncoder,
        ranks: RankGroup, report: @escaping TrainingReport, shouldStop: @escaping () -> Bool
    ) throws {
        self.stage = stage
        self.folder = folder
        self.encoder = encoder
        self.ranks = ranks
        self.report = ranks.isRoot ? report : { _ in }
        self.shouldStop = shouldStop
        lastSaved = state.step > 0 ? folder.checkpointPath(step: state.step) : nil
        log = ranks.isRoot ? try RunLog(folder, after: state.step) : nil
        if ranks.isRoot { folder.removeDeltas(after: state.step) }
        if let damage = log?.damage { report(.warning(damage)) }
        if let note = state.extensionNote { self.report(.note(note)) }
    }

    /// Whether the run should save and end after the current step; asked once per step.
    ///
    /// - Throws: `RankError`.
    func stops() throws -> Bool { try ranks.any(shouldStop()) }

    /// Measures mode preference on the probe's prompts, if there are any and this step was not measured yet.
    ///
    /// - Throws: errors of the encoder.
    func probe(_ state: inout TrainingState) throws {
        guard let last = state.metadata.probes.indices.last, state.metadata.probes[last].steps.last != state.step else {
            return
        }
        try ModeProbe.record(
            &state.metadata.probes[last], step: state.step, encoder: encoder, model: state.model(), ranks: ranks)
        report(.probe(step: state.step, byLevel: state.metadata.probes[last].latestByLevel))
    }

    /// Adds the metrics of the current step to the logs and to the history.
    ///
    /// - Throws: `DataFileError`.
    func record(_ row: MetricRow, in state: inout TrainingState) throws {
        try log?.append(step: state.step, row)
        state.metadata.history[stage.historyKey, default: MetricHistory()].append(row.values)
    }

    /// Saves the state under its step, reads it back, and turns old states into plain models.
    ///
    /// `record` is the stage's own part of the training state. Old states stay as they are until the new one is known
    /// to be readable.
    ///
    /// - Throws: `TrainingFailure.unreadableSave`, and errors of writing.
    mutating func save(
        _ state: TrainingState, record: [(String, JSON)], _ options: some RunOptions, _ slices: UpdateSlices
    ) throws {
        let path = folder.checkpointPath(step: state.step)
        try checkEqualWeights(state)
        // The others go on only when the state is known to be readable.
        let moments = try slices.shard.map {
            try ShardedMoments(collecting: state.optimizer, $0, ranks, in: folder.path)
        }
        _ = try ranks.fromRoot { try write(state, to: path, record: record, options, moments) }
        lastSaved = path
        kept = nil
        deltaCount = 0
    }

    /// Keeps the model of the current step as what changed since the step before.
    ///
    /// - Throws: `TrainingFailure.unreadableSave`, and errors of writing.
    mutating func keepDelta(_ state: TrainingState) throws {
        deltaCount += 1
        guard ranks.isRoot else { return }
        let path = folder.deltaPath(step: state.step)
        let base = try kept ?? CheckpointFile(path: lastSaved ?? folder.checkpointPath(step: state.step - 1))
        let written = try state.saveDelta(to: path, since: base)
        do {
            let file = try CheckpointFile(delta: path, on: base)
            guard file.digest == written.digest, file.metadata.step == state.step else {
                throw CheckpointError.damaged(
                    path: path, place: "/", problem: "it is not the model of step \(state.step) that was written")
            }
            kept = file
        } catch {
            throw TrainingFailure.unreadableSave("\(error)", lastGood: lastSaved)
        }
    }

    private func write(
        _ state: TrainingState, to path: String, record: [(String, JSON)], _ options: some RunOptions,
        _ moments: ShardedMoments?
    ) throws -> Bool {
        let written = try state.save(
            to: path, stage: stage, record: record, options.savedContent, moments: moments?.tensors)
        do {
            let file = try CheckpointFile(path: path)
            guard file.digest == written.digest, file.metadata.step == state.step else {
                throw CheckpointError.damaged(
                    path: path, place: "/", problem: "it is not the state of step \(state.step) that was written")
            }
        } catch {
            throw TrainingFailure.unreadableSave("\(error)", lastGood: lastSaved)
        }
        folder.firstStateIsSaved()
        folder.removeDelta(step: state.step)
        try folder.retire(keepingLast: options.keepLast, until: state.step)
        report(.saved(path: path, byteCount: written.fileByteCount))
        return true
    }

    /// Checks that all ranks have the same weights, which they have unless a machine computes wrongly.
    private func checkEqualWeights(_ state: TrainingState) throws {
        guard ranks.count > 1 else { return }
        try ranks.checkEqual(state.parameters.checksum) { rank, _, _ in
            "the weights of rank \(rank) are not those of rank 0 at step \(state.step); the last good state is "
                + (lastSaved ?? "the start of the run")
        }
    }
}

extension ModeProbe {
    /// The problems of a run's mode probe, which are kept out of training.
    ///
    /// A resumed run finds them in the table that its state carries, and so excludes the same prompts again.
    ///
    /// `given` are those of `--probe`. At most a tenth of the data is chosen, without prompts too long for the model.
    ///
    /// - Throws: errors of the encoder.
    static func problems(
        given: [Problem]?, carriedBy file: CheckpointFile, orFrom data: [Problem], count: Int, seed: UInt64,
        encoder: PromptEncoder
    ) throws -> [Problem] {
        if let given { return given }
        if let table = file.metadata.probes.last {
            return zip(table.prompts, table.levels).map {
                Problem(id: "", promptText: $0, level: $1.isEmpty ? nil : $1)
            }
        }
        return try choose(data, count: min(count, data.count / 10), seed: seed) {
            try encoder.reader.promptIfShortEnough(for: $0) != nil
        }
    }
}

extension Int {
    /// Whether something that happens every `interval` steps happens at this step; never if `interval` is nil.
    func isDue(every interval: Int?) -> Bool { interval.map { self % $0 == 0 } ?? false }
}
