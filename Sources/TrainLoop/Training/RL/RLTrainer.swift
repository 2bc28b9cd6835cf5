import CheckpointIO
import Foundation
import OrderedJSON
import Transformer

/// Reinforcement learning of the choice of mode (Thinkless, section 3.2): rollouts, rewards, advantages, updates.
public struct RLTrainer {
    public internal(set) var state: TrainingState
    public let encoder: PromptEncoder
    public let options: RLOptions
    /// α as `auto` has set it; nil before, and where it is not automatic.
    public internal(set) var automaticAlpha: Double?

    var data: RLTrainingData
    /// Prompts taken from the data so far, over all epochs.
    var dataPosition: Int
    let reward: any Reward
    let schedule: LearningRateSchedule
    let evaluation: (problems: [Problem], digest: String)?
    let reference: ReferencePolicy?
    /// Of the reference's weights; for the start of the run known once it is saved.
    private var referenceDigest: String?
    private let dataDigest: String
    private let startsFromReference: Bool

    let model: Model
    let frozen: FrozenParameters
    /// Of the update under way; kept so that its memory is.
    let gradients: ModelParameters
    /// The control tokens' part of it, where that is asked for.
    var controlGradients: ModelParameters?

    static let command = "train-rl"

    public var summary: RLDataSummary { data.summary }

    /// - Parameters:
    ///   - file: where to start; with `resuming`, the state to go on from.
    ///   - inputs: problems, every one with an answer unless a program judges them.
    /// - Throws: `OptionError`, `TrainingFailure`, `RewardError`, and errors of `PromptEncoder` and `TrainingState`.
    public init(_ file: CheckpointFile, _ inputs: RLInputs, options: RLOptions, resuming: Bool = false) throws {
        try options.check()
        encoder = try PromptEncoder(file)
        self.options = options
        dataDigest = inputs.dataDigest
        evaluation = inputs.evaluation
        reward = try Self.reward(options, inputs.problems)

        let carried = inputs.probe == nil ? file.metadata.probes.last : nil
        let table =
            carried.map { ProbeTable(prompts: $0.prompts, levels: $0.levels) }
            ?? ModeProbe.emptyTable(
                inputs.probe
                    ?? ModeProbe.choose(
                        inputs.problems, count: min(64, inputs.problems.count / 10), seed: options.seed))
        data = try RLTrainingData(inputs, probeTexts: Set(table.prompts), encoder: encoder, options: options)
        schedule = LearningRateSchedule(
            shape: options.schedule, peak: options.learningRate, warmUpSteps: options.warmupSteps,
            totalSteps: options.steps, floorRatio: options.finalLearningRateShare)

        var stored = JSON.null
        if resuming {
            (state, stored) = try TrainingState.resuming(
                file, command: Self.command, optimizer: options.optimizer(for:))
            guard stored["data_sha256"]?.string == dataDigest else { throw TrainingFailure.dataChanged("--data") }
            guard stored["eval_data_sha256"]?.string == evaluation?.digest else {
                throw TrainingFailure.dataChanged("--eval-data")
            }
            automaticAlpha = stored["alpha_in_use"]?.double
            dataPosition = stored["data_position"]?.int ?? state.step * options.promptsPerStep
            try OptionError.require(dataPosition >= 0, "\(file.path): its data_position is negative")
        } else {
            state = try TrainingState(starting: file, optimizer: options.optimizer(for:))
            dataPosition = 0
            state.metadata.lineage.append(
                LineageEntry(
                    operation: Self.command, arguments: options.json, parent: file.digest, tool: Tool.name,
                    report: ["problems": .integer(data.summary.problems), "data_sha256": .string(dataDigest)]
                ).text)
            state.metadata.history["rl"] = MetricHistory()
            // A stage counts its own steps, so it has a table of its own, over the same prompts where there are some.
            if !table.prompts.isEmpty { state.metadata.probes.append(table) }
        }
        let configuration = state.parameters.configuration
        if options.klCoefficient == 0 {
            try OptionError.require(
                inputs.reference == nil, "--reference is of use only with --kl-coefficient above 0")
            reference = nil
            startsFromReference = false
        } else if resuming {
            reference = try ReferencePolicy.resuming(
                file, step: state.step, given: inputs.reference, stored: stored["reference"] ?? .null,
                precision: options.referencePrecision, products: options.products, for: configuration)
            referenceDigest = stored["reference"]?["weights_digest"]?.string
            startsFromReference = stored["reference"]?["is_start"]?.bool ?? false
        } else {
            let own = try ReferencePolicy(
                inputs.reference ?? file, path: inputs.reference?.path, precision: options.referencePrecision,
                products: options.products, for: configuration)
            reference = own
            referenceDigest = inputs.reference == nil ? nil : own.weightsDigest
            startsFromReference = own.weightsDigest == file.weightsDigest
        }
        model = Model(state.parameters, products: options.products)
        frozen = try FrozenParameters(options.freeze, in: configuration)
        gradients = ModelParameters(configuration)
    }

    private static func reward(_ options: RLOptions, _ problems: [Problem]) throws -> any Reward {
        if options.reward.needsGroundTruth, let problem = problems.first(where: { $0.answer == nil }) {
            throw RewardError.missingAnswer(problem: problem.id)
        }
        return try options.makeReward()
    }

    /// Runs to the last step, or until `report` answers `.stop`.
    ///
    /// - Returns: the path of the last state saved.
    public mutating func run(
        in folder: RunFolder, report: (TrainingEvent) -> TrainingDisposition
    ) throws -> String {
        let log = try RunLog(folder, after: state.step)
        try FileManager.default.createDirectory(atPath: folder.rolloutsPath, withIntermediateDirectories: true)
        var lastSaved = folder.checkpointPath(step: state.step)
        if state.step == 0 {
            try probe(report)
            if evaluation != nil, state.metadata.history["rl"]?.rowCount == 0 {
                let row = [("step", 0)] + (try evaluate(report))
                try log.append(step: 0, row)
                state.metadata.history["rl", default: MetricHistory()].append(row)
            }
            lastSaved = try save(in: folder, report: report)
        }
        while state.step < options.steps {
            var metrics = try step(folder: folder, lastGood: lastSaved, report: report)
            let isDue = state.step % options.evaluateEvery == 0 || state.step == options.steps
            if evaluation != nil, isDue { metrics += try evaluate(report) }
            try log.append(step: state.step, metrics)
            state.metadata.history["rl", default: MetricHistory()].append(metrics)
            let stops = report(.step(state.step, of: options.steps, metrics: metrics)) == .stop
            let isLast = stops || state.step == options.steps
            if isLast || state.step % options.probeEvery == 0 { try probe(report) }
            if isLast || state.step % options.saveEvery == 0 { lastSaved = try save(in: folder, report: report) }
            if stops { break }
        }
        return lastSaved
    }

    private mutating func save(in folder: RunFolder, report: (TrainingEvent) -> TrainingDisposition) throws -> String {
        let path = folder.checkpointPath(step: state.step)
        let written = try state.save(to: path, command: Self.command, about: about, overwrite: true)
        // The run's own file of its start is what a resumed run will find the reference in.
        if reference != nil, referenceDigest == nil { referenceDigest = try CheckpointFile(path: path).weightsDigest }
        try folder.retire(keepingLast: options.keepLast)
        _ = report(.saved(path: path, byteCount: written.fileByteCount))
        return path
    }

    /// What a state says beside its tensors, so that a run can go on from it.
    private var about: [(String, JSON)] {
        var about: [(String, JSON)] = [
            ("options", options.json), ("data_sha256", .string(dataDigest)),
            ("eval_data_sha256", evaluation.map { .string($0.digest) } ?? .null),
            ("data_position", .integer(dataPosition)),
            ("alpha_in_use", automaticAlpha.map { .double($0) } ?? .null),
        ]
        if let reference {
            about.append(
                (
                    "reference",
                    [
                        "path": reference.path.map { .string($0) } ?? .null,
                        "weights_digest": referenceDigest.map { .string($0) } ?? .null,
                        "is_start": .bool(startsFromReference),
                    ]
                ))
        }
        return about
    }

    private mutating func probe(_ report: (TrainingEvent) -> TrainingDisposition) throws {
        guard let last = state.metadata.probes.indices.last else { return }
        try ModeProbe.record(
            &state.metadata.probes[last], step: state.step, encoder: encoder, parameters: state.parameters)
        _ = report(.probe(step: state.step, byLevel: state.metadata.probes[last].latestByLevel))
    }

    /// True where the reference is what the run started from, so that the first step's KL must be 0.
    var isReferenceTheStart: Bool { startsFromReference }
}
