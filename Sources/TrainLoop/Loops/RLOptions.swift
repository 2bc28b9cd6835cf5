import OrderedJSON

/// Options of the reinforcement learning stage, with the defaults of `ckpt train-rl`.
public struct RLOptions: Sendable {
    /// How the weight of the control token is set.
    public enum Alpha: Sendable, Equatable {
        case fixed(Double)
        /// K / (mean T + 1), from the first step's rollouts, then kept: K times the weight under `grpo`.
        case auto(Double)
    }

    public var steps = 100
    public var promptsPerStep = 32
    /// G, the responses sampled for each prompt.
    public var samplesPerPrompt = 8
    public var maximumPromptTokens = 1024
    public var maximumNewTokens = 1024
    public var temperature = 1.0
    public var loss = PolicyLoss.Kind.degrpo
    public var alpha = Alpha.fixed(1e-3)
    public var epsilonLow = 0.2
    public var epsilonHigh = 0.2
    public var entropyCoefficient = 0.0
    public var advantageScale = Advantages.Scale.none
    public var rewards = ModeReward.Values()
    public var answerRule = AnswerRule.boxed
    public var learningRate = 1e-6
    public var schedule = LearningRateSchedule.Shape.constant
    public var finalLearningRateShare = 0.0
    public var warmupSteps = 0
    public var beta1 = 0.9
    public var beta2 = 0.999
    public var epsilon = 1e-8
    public var weightDecay = 0.0
    public var clipNorm = 1.0
    /// Patterns of parameters that are not trained.
    public var freeze: [String] = []
    public var microBatchTokens = 4096
    public var seed: UInt64 = 0
    public var saveEvery = 10
    public var keepLast = 1
    public var probeEvery = 10

    public init() {}

    /// The resolved options as a checkpoint records them.
    public var json: JSON {
        let alphaValue: JSON =
            switch alpha {
            case .fixed(let value): .double(value)
            case .auto(let factor): .string("auto=\(factor)")
            }
        return [
            "steps": .integer(steps), "prompts_per_step": .integer(promptsPerStep),
            "samples_per_prompt": .integer(samplesPerPrompt), "max_prompt_tokens": .integer(maximumPromptTokens),
            "max_new_tokens": .integer(maximumNewTokens), "temperature": .double(temperature),
            "loss": .string(loss.rawValue), "alpha": alphaValue, "epsilon_low": .double(epsilonLow),
            "epsilon_high": .double(epsilonHigh), "entropy_coefficient": .double(entropyCoefficient),
            "advantage_scale": .string(advantageScale.rawValue),
            "rewards": [
                "short_right": .double(rewards.shortRight), "think_right": .double(rewards.thinkRight),
                "short_wrong": .double(rewards.shortWrong), "think_wrong": .double(rewards.thinkWrong),
                "malformed": .double(rewards.malformed),
            ],
            "answer": .string(answerRule.rawValue), "lr": .double(learningRate),
            "schedule": .string(schedule.rawValue), "final_lr_share": .double(finalLearningRateShare),
            "warmup_steps": .integer(warmupSteps), "beta1": .double(beta1), "beta2": .double(beta2),
            "adam_epsilon": .double(epsilon), "weight_decay": .double(weightDecay), "clip_norm": .double(clipNorm),
            "freeze": .array(freeze.map { .string($0) }),
            "micro_batch_tokens": .integer(microBatchTokens), "seed": .string(String(seed)),
            "save_every": .integer(saveEvery), "keep_last": .integer(keepLast), "probe_every": .integer(probeEvery),
        ]
    }
}
