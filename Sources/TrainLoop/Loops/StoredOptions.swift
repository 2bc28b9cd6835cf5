import CheckpointIO
import OrderedJSON

/// Reads back the options that a run stored, so that resuming needs no flags and cannot contradict them.
struct StoredOptions {
    private let json: JSON
    private let path: String

    enum Failure: Error, CustomStringConvertible {
        case missing(String, key: String)

        var description: String {
            switch self {
            case .missing(let path, let key):
                "\(path): its training state lacks the option \"\(key)\" or holds no valid value"
            }
        }
    }

    init(_ file: CheckpointFile) throws {
        guard let text = file.metadata.trainingState else {
            throw TrainingState.Failure.noTrainingState(file.path)
        }
        json = try JSON.parse(text)["options"] ?? .null
        path = file.path
    }

    func int(_ key: String) throws -> Int { try value(key, json[key]?.int) }
    func double(_ key: String) throws -> Double { try value(key, json[key]?.double) }
    func seed(_ key: String) throws -> UInt64 { try value(key, json[key]?.string.flatMap { UInt64($0) }) }

    func choice<Choice: RawRepresentable>(_ key: String, as: Choice.Type = Choice.self) throws -> Choice
    where Choice.RawValue == String {
        try value(key, json[key]?.string.flatMap(Choice.init(rawValue:)))
    }

    subscript(key: String) -> JSON? { json[key] }

    func value<Value>(_ key: String, _ value: Value?) throws -> Value {
        guard let value else { throw Failure.missing(path, key: key) }
        return value
    }
}

extension SFTOptions {
    /// The options of the run that saved `file`.
    ///
    /// - Throws: where the file has no training state, or one without these options.
    public init(storedIn file: CheckpointFile) throws {
        self.init()
        let stored = try StoredOptions(file)
        steps = try stored.int("steps")
        pairsPerStep = try stored.int("pairs_per_step")
        microBatchTokens = try stored.int("micro_batch_tokens")
        maximumLength = try stored.int("max_length")
        overlong = try stored.choice("overlong")
        reduction = try stored.choice("loss_reduction")
        learningRate = try stored.double("lr")
        controlLearningRateScale = try stored.double("control_lr_scale")
        schedule = try stored.choice("schedule")
        finalLearningRateShare = try stored.double("final_lr_share")
        warmupSteps = try stored.int("warmup_steps")
        beta1 = try stored.double("beta1")
        beta2 = try stored.double("beta2")
        epsilon = try stored.double("epsilon")
        weightDecay = try stored.double("weight_decay")
        clipNorm = try stored.double("clip_norm")
        freeze = try stored.value("freeze", stored["freeze"]?.array).compactMap(\.string)
        seed = try stored.seed("seed")
        saveEvery = try stored.int("save_every")
        keepLast = try stored.int("keep_last")
        probeCount = try stored.int("probe_count")
    }
}

extension RLOptions {
    /// The options of the run that saved `file`.
    ///
    /// - Throws: where the file has no training state, or one without these options.
    public init(storedIn file: CheckpointFile) throws {
        self.init()
        let stored = try StoredOptions(file)
        steps = try stored.int("steps")
        promptsPerStep = try stored.int("prompts_per_step")
        samplesPerPrompt = try stored.int("samples_per_prompt")
        maximumPromptTokens = try stored.int("max_prompt_tokens")
        maximumNewTokens = try stored.int("max_new_tokens")
        temperature = try stored.double("temperature")
        loss = try stored.choice("loss")
        alpha = try stored.value("alpha", stored["alpha"].flatMap(Alpha.init(json:)))
        epsilonLow = try stored.double("epsilon_low")
        epsilonHigh = try stored.double("epsilon_high")
        entropyCoefficient = try stored.double("entropy_coefficient")
        advantageScale = try stored.choice("advantage_scale")
        let values = stored["rewards"]
        rewards.shortRight = try stored.value("rewards.short_right", values?["short_right"]?.double)
        rewards.thinkRight = try stored.value("rewards.think_right", values?["think_right"]?.double)
        rewards.shortWrong = try stored.value("rewards.short_wrong", values?["short_wrong"]?.double)
        rewards.thinkWrong = try stored.value("rewards.think_wrong", values?["think_wrong"]?.double)
        rewards.malformed = try stored.value("rewards.malformed", values?["malformed"]?.double)
        answerRule = try stored.choice("answer")
        learningRate = try stored.double("lr")
        schedule = try stored.choice("schedule")
        finalLearningRateShare = try stored.double("final_lr_share")
        warmupSteps = try stored.int("warmup_steps")
        beta1 = try stored.double("beta1")
        beta2 = try stored.double("beta2")
        epsilon = try stored.double("adam_epsilon")
        weightDecay = try stored.double("weight_decay")
        clipNorm = try stored.double("clip_norm")
        freeze = try stored.value("freeze", stored["freeze"]?.array).compactMap(\.string)
        microBatchTokens = try stored.int("micro_batch_tokens")
        seed = try stored.seed("seed")
        saveEvery = try stored.int("save_every")
        keepLast = try stored.int("keep_last")
        probeEvery = try stored.int("probe_every")
    }
}

extension RLOptions.Alpha {
    init?(json: JSON) {
        if let value = json.double {
            self = .fixed(value)
        } else if let text = json.string, text.hasPrefix("auto="), let factor = Double(text.dropFirst(5)) {
            self = .auto(factor)
        } else {
            return nil
        }
    }
}
