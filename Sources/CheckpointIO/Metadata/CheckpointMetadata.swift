/// The purpose of a checkpoint.
public enum CheckpointKind: String, Sendable {
    /// The model alone.
    case model
    /// A training state from which a run can be resumed.
    case training
}

/// Everything in a checkpoint except its tensors; texts are stored verbatim.
public struct CheckpointMetadata: Sendable, Equatable {
    public var kind: CheckpointKind
    /// Optimizer steps of the run that wrote the file; 0 for an imported model.
    public var step: Int
    /// The program that wrote the file, for example `ckpt 0.1.0`.
    public var createdBy: String
    /// The Hugging Face `config.json`.
    public var config: String
    /// The Hugging Face `generation_config.json`.
    public var generationConfig: String?
    /// The chat template, in Jinja.
    public var chatTemplate: String?
    public var tokenizer: TokenizerRecord?
    /// Maps tied names to the stored tensor, for example `lm_head.weight` to `model.embed_tokens.weight`.
    public var tiedTensors: [String: String]
    public var optimizer: OptimizerRecord?
    /// The adapter that is merged into the weights.
    public var adapter: AdapterRecord?
    /// The SHA-256 of each weight that the adapter changes, in a file without weights; empty if the file has them.
    ///
    /// The weights of such a file are computed from the adapter and its base.
    public var adaptedWeights: [String: String]
    /// JSON: command, options, random seed and counters, data position, digests of parent and reference policy.
    public var trainingState: String?
    /// The metrics of each training phase, `sft` or `rl`.
    public var history: [String: MetricHistory]
    /// Mode preference over the course of training, oldest table first; a new set of prompts starts a new table.
    public var probes: [ProbeTable]
    /// The operations that led to this state, oldest first; each is the JSON text of a `LineageEntry`.
    public var lineage: [String]

    public init(
        kind: CheckpointKind = .model, step: Int = 0, createdBy: String = "ckpt", config: String,
        generationConfig: String? = nil, chatTemplate: String? = nil, tokenizer: TokenizerRecord? = nil,
        tiedTensors: [String: String] = [:], optimizer: OptimizerRecord? = nil, adapter: AdapterRecord? = nil,
        adaptedWeights: [String: String] = [:], trainingState: String? = nil, history: [String: MetricHistory] = [:],
        probes: [ProbeTable] = [], lineage: [String] = []
    ) {
        self.kind = kind
        self.step = step
        self.createdBy = createdBy
        self.config = config
        self.generationConfig = generationConfig
        self.chatTemplate = chatTemplate
        self.tokenizer = tokenizer
        self.tiedTensors = tiedTensors
        self.optimizer = optimizer
        self.adapter = adapter
        self.adaptedWeights = adaptedWeights
        self.trainingState = trainingState
        self.history = history
        self.probes = probes
        self.lineage = lineage
    }

    /// Makes the state a model without optimizer, adapter and training state.
    package mutating func dropTrainingState() {
        kind = .model
        optimizer = nil
        adapter = nil
        adaptedWeights = [:]
        trainingState = nil
    }
}
