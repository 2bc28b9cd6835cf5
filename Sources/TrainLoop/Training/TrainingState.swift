import CheckpointIO
import OrderedJSON
import Transformer

/// The two stages of training.
enum TrainingStage {
    case warmUp, reinforcement

    /// The command that runs the stage; states and lineage record it.
    var command: String {
        switch self {
        case .warmUp: "train-sft"
        case .reinforcement: "train-rl"
        }
    }

    /// The key of the stage's metrics in a checkpoint's history.
    var historyKey: String {
        switch self {
        case .warmUp: "sft"
        case .reinforcement: "rl"
        }
    }
}

/// The digests of the data files of a run, by which a resumed run recognises them.
struct TrainingDataDigests {
    let training: String
    /// The file of `--eval-data`; nil if there is none.
    let evaluation: String?

    /// - Throws: `TrainingFailure.dataChanged` if a state was trained on other data.
    func check(against stored: JSON) throws {
        guard stored["data_sha256"]?.string == training else { throw TrainingFailure.dataChanged("--data") }
        guard stored["eval_data_sha256"]?.string == evaluation else {
            throw TrainingFailure.dataChanged("--eval-data")
        }
    }

    var json: [(String, JSON)] {
        [("data_sha256", .string(training)), ("eval_data_sha256", evaluation.map { .string($0) } ?? .null)]
    }
}

/// Everything that a run carries from one step to the next, and how it is saved and loaded.
package struct TrainingState {
    /// What is trained: the weights of the model, or adapters.
    package let parameters: ModelParameters
    /// The model that adapters are trained on; nil if the model itself is trained.
    let adapted: AdaptedWeights?
    package var optimizer: AdamW
    /// Updates made so far in this stage.
    package internal(set) var step: Int
    /// Configuration, tokenizer, chat template, lineage, histories and probes.
    var metadata: CheckpointMetadata
    /// What a resumed run changes about its length; nil if nothing.
    private(set) var extensionNote: String?
    /// The digest of the checkpoint that the run started from.
    private let parentDigest: String
    /// Bytes of measurements that the metadata may hold.
    private let capacity: Int

    /// The start of a stage: the weights of `file`, moments of 0, an empty history, and an entry in the lineage.
    ///
    /// `options` and `report` go into the lineage. Each stage has a probe table of its own, because it counts its own
    /// steps.
    ///
    /// - Throws: errors of reading the weights.
    init(
        starting stage: TrainingStage, from file: CheckpointFile, optimizer: AdamW, trained: TrainedParameters,
        seed: UInt64, options: JSON, report: JSON, probe: ProbeTable
    ) throws {
        adapted = try trained.adapters.map { try AdaptedWeights(file, $0, seed: seed) }
        parameters = try adapted?.adapters.values ?? ModelParameters(file, trained.weights)
        self.optimizer = optimizer
        step = 0
        metadata = file.metadata
        metadata.optimizer = nil
        metadata.trainingState = nil
        metadata.adapter = trained.adapters
        metadata.adaptedWeights = [:]
        parentDigest = file.digest
        metadata.lineage.append(
            LineageEntry(
                operation: stage.command, arguments: options, parent: file.digest, tool: Tool.name, report: report
            ).text)
        metadata.history[stage.historyKey] = MetricHistory()
        if !probe.prompts.isEmpty { metadata.probes.append(probe) }
        capacity = try CheckpointWriter.freeRecordBytes(metadata) + metadata.measurementBytes
    }

    /// The state that `file` holds, which `stage` must have saved; every byte of the file is checked.
    ///
    /// `optimizer` receives the moments; `stored` is set to the training state as recorded, from which a stage takes
    /// what it needs.
    ///
    /// - Throws: `TrainingStateError`, `CheckpointError.damaged`, and errors of reading tensors.
    init(
        resuming stage: TrainingStage, from file: CheckpointFile, optimizer: AdamW, trained: TrainedParameters,
        stored: inout JSON
    ) throws {
        guard let text = file.metadata.trainingState, let record = file.metadata.optimizer else {
            throw TrainingStateError.noTrainingState(file.path)
        }
        stored = try JSON.parse(text)
        guard let command = stored["command"]?.string, let parent = stored["parent"]?.string,
            let step = stored["step"]?.int
        else { throw TrainingStateError.damagedState(file.path, reason: "command, parent or step is missing") }
        guard record.moments == (optimizer.eightBit == nil ? nil : MomentPrecision.eightBit.rawValue) else {
            throw TrainingStateError.damagedState(
                file.path, reason: "its moments are not in the format that its options name")
        }
        guard command == stage.command else {
            throw TrainingStateError.otherCommand(file.path, expected: stage.command, found: command)
        }
        // An evaluation of the start has a row of its own.
        let rows = file.metadata.history[stage.historyKey]?.rowCount ?? 0
        guard step == file.metadata.step, rows == step || rows == step + 1 else {
            throw TrainingStateError.damagedState(
                file.path,
                reason: "its step is \(step), the file's is \(file.metadata.step), and it has \(rows) rows of metrics")
        }
        guard (trained.adapters == nil) == (file.metadata.adapter == nil) else {
            throw TrainingStateError.damagedState(file.path, reason: "its options and its adapters do not agree")
        }
        adapted = try trained.adapters.map { try AdaptedWeights(resuming: file, $0) }
        parameters = try adapted?.adapters.values ?? ModelParameters(file, trained.weights)
        self.optimizer = optimizer
        self.step = step
        metadata = file.metadata
        parentDigest = parent
        capacity = try CheckpointWriter.freeRecordBytes(metadata) + metadata.measurementBytes
        self.optimizer.step = record.step
        let group = adapted == nil ? TensorGroup.weights : .adapter
        var loaded = Self.buffers(parameters).map { LoadedTensor(group, $0.name, $0.destination) }
        if let shard = self.optimizer.shard {
            try ShardedMoments.load(into: self.optimizer, shard, from: file)
            try Self.verify(loaded, file)
            return
        }
        for (group, moments) in [(TensorGroup.optimizerM, self.optimizer.m), (.optimizerV, self.optimizer.v)] {
            let buffers = Self.buffers(moments)
            for parameter in moments.layout {
                _ = try Self.moment(parameter.name, parameter.shape, nil, group, in: file)
            }
            try file.readFloat32(buffers, in: group)
            loaded += buffers.map { LoadedTensor(group, $0.name, $0.destination) }
        }
        if let (m, v) = self.optimizer.eightBit {
            try Self.load(m, .optimizerM, from: file)
            try Self.load(v, .optimizerV, from: file)
        }
        try Self.verify(loaded, file)
    }

    /// - Throws: `CheckpointError.damaged` if what was loaded is not what the checkpoint's digests say.
    static func verify(_ loaded: [LoadedTensor], _ file: CheckpointFile) throws {
        if let damage = try file.verify(loaded: loaded).first {
            throw CheckpointError.damaged(path: file.path, place: damage.place, problem: damage.problem)
        }
    }

    /// A moment of a shape, and of an element type unless that is nil.
    ///
    /// - Throws: `TrainingStateError.damagedState` if `file` has none.
    static func moment(
        _ name: String, _ shape: [Int], _ type: ElementType?, _ group: TensorGroup, in file: CheckpointFile
    ) throws -> StoredTensor {
        guard let tensor = file.tensor(name, in: group) else {
            throw TrainingStateError.damagedState(file.path, reason: "it has no \(group.path)/\(name)")
        }
        let found = tensor.description
        guard found.shape == shape else {
            throw TrainingStateError.damagedState(
                file.path, reason: "\(group.path)/\(name) has shape \(found.shape) instead of \(shape)")
        }
        if let type, found.elementType != type {
            throw TrainingStateError.damagedState(
                file.path, reason: "\(group.path)/\(name) is \(found.elementType.rawValue), not \(type.rawValue)")
        }
        return tensor
    }

    /// - Throws: `TrainingStateError.damagedState` if the codes or scales are missing or not valid, and errors of
    ///   reading.
    private static func load(_ moment: EightBitMoment, _ group: TensorGroup, from file: CheckpointFile) throws {
        var requests: [(tensor: StoredTensor, destination: UnsafeMutableRawBufferPointer)] = []
        for part in moment.parts {
            let description = part.description
            let tensor = try Self.moment(
                description.name, description.shape, description.elementType, group, in: file)
            requests.append((tensor, part.bytes))
        }
        try file.read(requests)
        if let name = moment.firstInvalidScale {
            throw TrainingStateError.damagedState(
                file.path, reason: "\(group.path)/\(name) holds a number that is negative or not finite")
        }
    }

    private static func buffers(
        _ parameters: ModelParameters
    ) -> [(name: String, destination: UnsafeMutableBufferPointer<Float>)] {
        parameters.layout.compactMap { parameter in parameters[parameter.name].map { (parameter.name, $0) } }
    }

    /// Refuses a state of a step after the last one of the run, and records a change of the run's length.
    ///
    /// `options` are those that the run goes on with, `recorded` is their JSON, `stored` the training state of `file`.
    ///
    /// - Throws: `TrainingStateError.damagedState`.
    mutating func goOn(
        _ stage: TrainingStage, with options: some TrainingOptions, recorded: JSON, totalSteps: Int,
        from file: CheckpointFile, stored: JSON
    ) throws {
        guard step <= totalSteps else {
            throw TrainingStateError.damagedState(
                file.path, reason: "its step is \(step), but the run has \(totalSteps) steps")
        }
        guard let last = stored["options"]?["steps"]?.int, let note = options.extensionNote(from: last) else { return }
        extensionNote = note
        metadata.lineage.append(
            LineageEntry(
                operation: stage.command, arguments: recorded, parent: file.digest, tool: Tool.name,
                report: ["step": .integer(step), "steps_before": .integer(last)]
            ).text)
    }

    /// Writes the whole state: weights or adapters, moments, history, probes, and what the stage needs to resume.
    ///
    /// `record` is the stage's own part of the training state. A file at `path` is replaced. `moments` are those of all
    /// ranks, if they share the optimizer.
    ///
    /// - Throws: errors of writing.
    func save(
        to path: String, stage: TrainingStage, record: [(String, JSON)], _ content: SavedContent = .complete,
        moments: [TensorToWrite]? = nil
    ) throws -> WrittenCheckpoint {
        var metadata = savedMetadata(stage, record: record)
        metadata.adaptedWeights = [:]
        var weights: [TensorToWrite] = []
        if let adapted {
            if content == .adapter {
                metadata.adaptedWeights = try TensorToWrite.digestsByName(of: adapted.changedTensors)
            } else {
                weights = adapted.mergedTensors + adapted.baseTensors
            }
            weights += Self.tensors(.adapter, parameters)
        } else {
            weights = Self.tensors(.weights, parameters)
        }
        let own =
            Self.tensors(.optimizerM, optimizer.m) + Self.tensors(.optimizerV, optimizer.v)
            + (optimizer.eightBit.map { Self.tensors(.optimizerM, $0.m) + Self.tensors(.optimizerV, $0.v) } ?? [])
        let tensors = weights + (moments ?? own)
        return try CheckpointWriter.write(metadata, tensors: tensors, to: path, overwrite: true)
    }

    /// Writes the model, with history, probes and lineage, as what changed since `base`.
    ///
    /// A file at `path` is replaced. A run cannot be resumed from the delta: moments change in nearly every bit.
    ///
    /// - Throws: errors of writing.
    func saveDelta(to path: String, since base: CheckpointFile) throws -> WrittenDelta {
        var metadata = metadata
        metadata.dropTrainingState()
        metadata.step = step
        return try DeltaWriter.write(
            metadata, tensors: adapted?.mergedTensors ?? Self.tensors(.weights, parameters), since: base, to: path,
            overwrite: true)
    }

    /// Checks before a run starts that its states can be written and read back.
    ///
    /// - Throws: `CheckpointError.invalid` naming the part that cannot be stored, `TrainingFailure.fullHistory` if no
    ///   step can follow.
    func checkCanBeSaved(_ stage: TrainingStage, record: [(String, JSON)]) throws {
        guard hasRoomForStep(of: stage) else { throw TrainingFailure.fullHistory }
        try CheckpointWriter.check(savedMetadata(stage, record: record))
    }

    /// Whether the state could be saved after one more step.
    func hasRoomForStep(of stage: TrainingStage) -> Bool {
        let history = history(of: stage)
        // The next row may bring new metrics, whose columns begin at the first row, and a snapshot of the probe; the
        // rest of the metadata grows by some digits.
        let row = 8 * (history.names.count + 16) + 8 * 16 * history.rowCount
        let probe = 16 * (1 + (metadata.probes.last?.prompts.count ?? 0))
        return metadata.measurementBytes + row + probe + (1 << 20) <= capacity
    }

    private func savedMetadata(_ stage: TrainingStage, record: [(String, JSON)]) -> CheckpointMetadata {
        var metadata = metadata
        metadata.kind = .training
        metadata.step = step
        metadata.optimizer = OptimizerRecord(
            step: optimizer.step, beta1: optimizer.beta1, beta2: optimizer.beta2, epsilon: optimizer.epsilon,
            moments: optimizer.eightBit == nil ? nil : MomentPrecision.eightBit.rawValue)
        let common: [(String, JSON)] = [
            ("command", .string(stage.command)), ("parent", .string(parentDigest)), ("step", .integer(step)),
        ]
        metadata.trainingState = JSON.object(JSONObject(common + record)).serialized(indent: 2)
        return metadata
    }

    /// The tensors of a parameter buffer, ready to be written.
    package static func tensors(_ group: TensorGroup, _ parameters: ModelParameters) -> [TensorToWrite] {
        parameters.layout.compactMap { parameter in
            let values = parameters[parameter.name].map { UnsafeRawBufferPointer($0) }
            let halves = parameters.halves(parameter.name).map { UnsafeRawBufferPointer($0) }
            guard let bytes = values ?? halves else { return nil }
            return TensorToWrite(
                group: group,
                description: TensorDescription(
                    name: parameter.name, elementType: halves == nil ? .float32 : .bfloat16, shape: parameter.shape),
                content: .memory(TensorMemory(bytes, owner: parameters)))
        }
    }

    /// The codes and scales of a moment, ready to be written.
    private static func tensors(_ group: TensorGroup, _ moment: EightBitMoment) -> [TensorToWrite] {
        moment.parts.map {
            TensorToWrite(
                group: group, description: $0.description,
                content: .memory(TensorMemory(UnsafeRawBufferPointer($0.bytes), owner: moment)))
        }
    }

    /// The model in its present state, which follows every update.
    func model(products: ProductPrecision = .fp32) -> Model {
        adapted?.model(products: products) ?? Model(parameters, products: products)
    }

    /// Bytes on disk of a state without moments, before compression.
    func savedBytes(_ content: SavedContent) -> Int {
        let own = parameters.precision.byteCount(parameters.layout)
        guard let adapted, content == .complete else { return own }
        return own + (adapted.mergedTensors + adapted.baseTensors).reduce(0) { $0 + $1.description.byteCount }
    }

    /// Bytes of the weights in memory.
    var weightBytes: Int {
        adapted?.baseByteCount ?? parameters.precision.byteCount(parameters.configuration.parameters)
    }

    /// The history of a stage so far.
    func history(of stage: TrainingStage) -> MetricHistory { metadata.history[stage.historyKey] ?? MetricHistory() }

    /// Mean P(`<think>`) and P(`<short>`) over the prompts of the probe when it was last measured; nil without a probe.
    var probedPreference: (think: Double, short: Double)? {
        guard let table = metadata.probes.last, let think = table.pThink.last, let short = table.pShort.last,
            !think.isEmpty
        else { return nil }
        func mean(_ row: [Double]) -> Double { row.reduce(0, +) / Double(row.count) }
        return (mean(think), mean(short))
    }
}

/// A checkpoint that a run cannot resume from.
package enum TrainingStateError: Error, CustomStringConvertible {
    case noTrainingState(String)
    case otherCommand(String, expected: String, found: String)
    case damagedState(String, reason: String)

    package var description: String {
        switch self {
        case .noTrainingState(let path): "\(path): has no training state to resume from"
        case .otherCommand(let path, let expected, let found):
            "\(path): was written by \(found), not by \(expected)"
        case .damagedState(let path, let reason): "\(path): its training state cannot be read: \(reason)"
        }
    }
}
