import CheckpointIO
import OrderedJSON
import Transformer

/// Everything a run carries from one step to the next, and how it becomes a checkpoint and comes back.
public struct TrainingState {
    public var parameters: ModelParameters
    public var optimizer: AdamW
    /// Updates made so far in this stage.
    public var step: Int
    /// What came with the input: config, tokenizer, chat template, lineage, earlier histories and probes.
    public var metadata: CheckpointMetadata
    /// Digest of the checkpoint that the run started from.
    public let parentDigest: String

    public enum Failure: Error, CustomStringConvertible {
        case noTrainingState(String)
        case otherCommand(String, expected: String, found: String)
        case damagedState(String, reason: String)

        public var description: String {
            switch self {
            case .noTrainingState(let path): "\(path): holds no training state to resume"
            case .otherCommand(let path, let expected, let found):
                "\(path): was written by \(found), not by \(expected)"
            case .damagedState(let path, let reason): "\(path): its training state cannot be read: \(reason)"
            }
        }
    }

    /// The start of a stage: weights of `file`, moments at zero.
    public init(starting file: CheckpointFile, optimizer makeOptimizer: (ModelConfiguration) -> AdamW) throws {
        parameters = try ModelParameters(file)
        optimizer = makeOptimizer(parameters.configuration)
        step = 0
        metadata = file.metadata
        metadata.optimizer = nil
        metadata.trainingState = nil
        parentDigest = file.digest
    }

    /// The state that `file` holds, as `command` saved it.
    ///
    /// - Returns: the state, and the JSON that the command stored about itself.
    public static func resuming(
        _ file: CheckpointFile, command: String, optimizer makeOptimizer: (ModelConfiguration) -> AdamW
    ) throws -> (TrainingState, JSON) {
        guard let text = file.metadata.trainingState, let record = file.metadata.optimizer else {
            throw Failure.noTrainingState(file.path)
        }
        let stored = try JSON.parse(text)
        guard let found = stored["command"]?.string, let parent = stored["parent"]?.string,
            let step = stored["step"]?.int
        else { throw Failure.damagedState(file.path, reason: "command, parent or step is missing") }
        guard found == command else { throw Failure.otherCommand(file.path, expected: command, found: found) }
        var state = TrainingState(
            parameters: try ModelParameters(file), file: file, parent: parent, step: step, makeOptimizer)
        for description in state.parameters.configuration.parameters {
            if let values = state.optimizer.m[description.name] {
                try file.readFloat32(description.name, in: .optimizerM, into: values)
            }
            if let values = state.optimizer.v[description.name] {
                try file.readFloat32(description.name, in: .optimizerV, into: values)
            }
        }
        state.optimizer.step = record.step
        return (state, stored)
    }

    private init(
        parameters: ModelParameters, file: CheckpointFile, parent: String, step: Int,
        _ makeOptimizer: (ModelConfiguration) -> AdamW
    ) {
        self.parameters = parameters
        optimizer = makeOptimizer(parameters.configuration)
        self.step = step
        metadata = file.metadata
        parentDigest = parent
    }

    /// Writes the whole state: weights and moments in fp32, history, probe, what the command needs to go on.
    @discardableResult
    public func save(
        to path: String, command: String, about: [(String, JSON)], overwrite: Bool = false,
        progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> WrittenCheckpoint {
        var metadata = metadata
        metadata.kind = .training
        metadata.step = step
        metadata.optimizer = OptimizerRecord(
            step: optimizer.step, beta1: optimizer.beta1, beta2: optimizer.beta2, epsilon: optimizer.epsilon)
        metadata.trainingState = JSON.object(
            JSONObject(
                [("command", .string(command)), ("parent", .string(parentDigest)), ("step", .integer(step))] + about)
        ).serialized(indent: 2)
        let tensors =
            Self.tensors(.weights, parameters) + Self.tensors(.optimizerM, optimizer.m)
            + Self.tensors(.optimizerV, optimizer.v)
        return try CheckpointWriter.write(
            metadata, tensors: tensors, to: path, overwrite: overwrite, progress: progress)
    }

    /// The tensors of a flat parameter buffer, ready to be written as float32.
    public static func tensors(_ group: TensorGroup, _ parameters: ModelParameters) -> [TensorToWrite] {
        parameters.configuration.parameters.map { parameter in
            TensorToWrite(
                group: group,
                description: TensorDescription(name: parameter.name, elementType: .float32, shape: parameter.shape),
                // Every parameter of the configuration has its place in the buffer.
                content: .memory(
                    TensorMemory(UnsafeRawBufferPointer(parameters[parameter.name]!), owner: parameters)))
        }
    }
}
