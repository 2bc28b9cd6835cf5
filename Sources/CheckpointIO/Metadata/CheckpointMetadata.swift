/// Everything in a checkpoint but its tensors. Texts are kept verbatim.
public struct CheckpointMetadata: Sendable, Equatable {
    /// Whether a run can be resumed from the file (`training`) or it holds the model alone.
    public enum Kind: String, Sendable {
        case model, training
    }

    public var kind: Kind
    /// Optimizer steps taken in the run that wrote the file; 0 for an imported model.
    public var step: Int
    /// The tool that wrote the file, e.g. `ckpt 0.1.0`.
    public var createdBy: String
    /// The Hugging Face `config.json`.
    public var config: String
    public var generationConfig: String?
    /// The Jinja text of the chat template.
    public var chatTemplate: String?
    public var tokenizer: TokenizerRecord?
    /// Names that share another tensor's values, e.g. `lm_head.weight` → `model.embed_tokens.weight`; only the
    /// latter is stored.
    public var tiedTensors: [String: String]
    public var optimizer: OptimizerRecord?
    /// JSON: command, options, random seed and counters, data position, digests of parent and reference policy.
    public var trainingState: String?
    /// Metric curves by phase: `sft`, `rl`.
    public var history: [String: MetricHistory]
    /// Mode-preference tables, oldest first; a new set of prompts starts a new table.
    public var probes: [ProbeTable]
    /// JSON texts, oldest first: what was done to arrive at this state.
    public var lineage: [String]

    public init(
        kind: Kind = .model, step: Int = 0, createdBy: String = "ckpt", config: String,
        generationConfig: String? = nil, chatTemplate: String? = nil, tokenizer: TokenizerRecord? = nil,
        tiedTensors: [String: String] = [:], optimizer: OptimizerRecord? = nil, trainingState: String? = nil,
        history: [String: MetricHistory] = [:], probes: [ProbeTable] = [], lineage: [String] = []
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
        self.trainingState = trainingState
        self.history = history
        self.probes = probes
        self.lineage = lineage
    }
}

/// The tokenizer as its files have it, and which of its tokens are the control tokens.
public struct TokenizerRecord: Sendable, Equatable {
    /// `tokenizer.json`, byte for byte.
    public var json: [UInt8]
    /// `tokenizer_config.json`, verbatim.
    public var config: String?
    public var addedTokens: [AddedTokenRecord]
    public var thinkID: Int?
    public var thinkEndID: Int?
    public var shortID: Int?

    public init(
        json: [UInt8], config: String? = nil, addedTokens: [AddedTokenRecord] = [], thinkID: Int? = nil,
        thinkEndID: Int? = nil, shortID: Int? = nil
    ) {
        self.json = json
        self.config = config
        self.addedTokens = addedTokens
        self.thinkID = thinkID
        self.thinkEndID = thinkEndID
        self.shortID = shortID
    }
}

/// One row of the table of added tokens.
public struct AddedTokenRecord: Sendable, Equatable {
    public var id: Int
    public var content: String
    public var special: Bool
    /// False until training has updated the token's row.
    public var trained: Bool

    public init(id: Int, content: String, special: Bool, trained: Bool) {
        self.id = id
        self.content = content
        self.special = special
        self.trained = trained
    }
}

/// AdamW's scalars; its moments are the tensors of `TensorGroup.optimizerM` and `.optimizerV`.
public struct OptimizerRecord: Sendable, Equatable {
    /// Updates made, which the bias correction depends on.
    public var step: Int
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double

    public init(step: Int, beta1: Double, beta2: Double, epsilon: Double) {
        self.step = step
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
    }
}
