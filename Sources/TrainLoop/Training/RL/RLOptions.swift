import Transformer

/// The options of the reinforcement learning stage, with the defaults of `ckpt train-rl`.
package struct RLOptions: TrainingOptions {
    package var run = RLRunOptions()
    package var rollout = RolloutOptions()
    package var reward = RewardOptions()
    package var loss = PolicyLossOptions()
    package var guards = GuardOptions()
    package var sampler = SamplerOptions()
    package var optimizer = OptimizerOptions(
        learningRate: 1e-6, schedule: .constant, finalLearningRateShare: 0, warmupSteps: 0, beta2: 0.999,
        weightDecay: 0)

    package init() {}
}

/// The length of a run, and when it saves, measures and logs.
package struct RLRunOptions: RunOptions {
    package var steps = 100
    package var lastStep: Int? { steps }
    package var seed: UInt64 = 0
    package var saveEvery = 10
    package var keepLast = 1
    package var savedContent = SavedContent.complete
    /// Whether the model of every step is kept, as a delta where no state is saved.
    package var keepsDeltas = false
    package var probeEvery = 10
    /// Steps between evaluations on the dev problems, if there are any.
    package var evaluateEvery = 10
    /// Whether the rollout log contains token ids and log-probabilities.
    package var logsProbabilities = false
    /// Whether the gradient norms of the control tokens and of the responses are measured separately.
    package var logsControlGradientNorm = true
}

/// How a step's responses are sampled.
package struct RolloutOptions: Sendable, Equatable {
    package var promptsPerStep = 32
    /// G, the responses sampled for each prompt.
    package var samplesPerPrompt = 8
    package var maximumPromptTokens = 1024
    package var maximumNewTokens = 1024
    /// A longer short answer counts as truncated; nil: `maximumNewTokens` applies.
    package var maximumShortTokens: Int?
    package var temperature = 1.0
    /// The number format of cached keys and values.
    package var cachePrecision = CachePrecision.fp32
    /// The memory that the cache may take, unless one sample needs more; nil: that of `Generator`.
    ///
    /// A number of its own, because the last bits of results depend on which samples run side by side.
    package var cacheSize: ByteSize?

    func makeGenerator(_ model: Model) -> Generator {
        var generator = Generator(model)
        generator.cachePrecision = cachePrecision
        if let cacheSize { generator.cacheByteLimit = cacheSize.bytes }
        return generator
    }
}

/// How far servers that sample may differ from the model, and how the difference is corrected.
package struct SamplerOptions: Sendable, Equatable {
    /// The largest importance weight of a token.
    package var cap = 2.0
    /// The largest importance weight of a control token.
    package var controlCap = 2.0
    /// The largest mean |Δ log p| between server and model.
    package var tolerance = 0.1
    /// The steps that sampling is ahead of updates: with 1, servers sample a step's responses during the update before.
    package var asyncSteps = 0
}

/// How responses are rewarded.
package struct RewardOptions: Sendable, Equatable {
    package var source = RewardSource.math
    /// The time that a reward program may take for one batch, in seconds.
    package var timeout = 120.0
    package var values = ModeReward.Values()
    package var answerRule = AnswerRule.boxed

    package init() {}

    /// The reward; starts the program if there is one.
    ///
    /// - Throws: `RewardError.program`.
    package func makeReward() throws -> any Reward {
        switch source {
        case .math: ModeReward(values: values, rule: answerRule)
        case .exact: ModeReward(values: values, rule: answerRule, grader: ExactGrader())
        case .command(let program):
            try ProgramReward(command: program, timeout: timeout, values: values, rule: answerRule)
        }
    }
}

/// The loss, the use of a step's samples for updates, and the reference policy.
package struct PolicyLossOptions: Sendable, Equatable {
    package var kind = PolicyLoss.Kind.degrpo
    /// By default as many times the weight under `grpo` as the paper's α, 1/1000, has at its lengths of about 5,000
    /// tokens.
    package var alpha = AlphaSchedule.auto(5)
    package var epsilonLow = 0.2
    package var epsilonHigh = 0.2
    package var entropyCoefficient = 0.0
    package var advantageScale = Advantages.Scale.none
    /// Optimizer updates made with the samples of one step.
    package var updatesPerBatch = 1
    /// Parts that a step's groups are divided into, one update each; nil: as many as updates.
    package var miniBatches: Int?
    package var oldLogProbabilities = OldLogProbabilities.sampled
    package var klCoefficient = 0.0
    package var klEstimator = PolicyLoss.KLEstimator.k3
    package var klReduction = PolicyLoss.KLReduction.mean
    package var klLimit: Double?
    /// The number format in which the reference policy is held in memory.
    package var referencePrecision = WeightPrecision.bf16

    var resolvedMiniBatches: Int { miniBatches ?? updatesPerBatch }
}

/// Measures that keep both modes in use.
package struct GuardOptions: Sendable, Equatable {
    /// Samples of each group that are forced into each mode.
    package var balance = 0
    package var balanceWeight = BalanceWeight.importance
    /// The cap of the importance weights of control tokens.
    package var balanceCap = 5.0
    /// The largest number of groups per step that fresh prompts replace because their rewards are all equal.
    package var refill = 0
    /// Whether truncated samples are left out of the loss; they count as wrong in their group's mean in any case.
    package var masksTruncated = false
    /// The share of a mode under which the alarm counts a step.
    package var alarmShare = 0.02
    /// Consecutive steps that raise the alarm; 0: never.
    package var alarmSteps = 10
}

/// The source of the log-probabilities in the denominator of the ratio, if a step makes several updates.
package enum OldLogProbabilities: String, Sendable, CaseIterable {
    /// The sampler.
    case sampled
    /// The model, once per step before the first update (as in verl and the authors' code).
    case recomputed
}

/// The treatment of control tokens in the control loss if some of them are forced.
package enum BalanceWeight: String, Sendable, CaseIterable {
    /// Every control token is weighted by its probability over that of the mixture it was drawn from.
    case importance
    /// Forced control tokens are left out.
    case none
}

extension RLOptions {
    package static let fields: [OptionField<RLOptions>] = [
        .int("steps", "--steps", \.run.steps, 1...1 << 40),
        .int("prompts_per_step", "--prompts", \.rollout.promptsPerStep, 1...1 << 20),
        .int("samples_per_prompt", "--samples", \.rollout.samplesPerPrompt, 1...1 << 16),
        .int("max_prompt_tokens", "--max-prompt-tokens", \.rollout.maximumPromptTokens, 1...1 << 24),
        .int("max_new_tokens", "--max-new-tokens", \.rollout.maximumNewTokens, 1...1 << 24),
        .optionalInt("max_short_tokens", "--max-short-tokens", \.rollout.maximumShortTokens, 1...1 << 24)
            .optionalInOldCheckpoints,
        .double("temperature", "--temperature", \.rollout.temperature, .positive),
        .of(
            "cache", "--cache", \.rollout.cachePrecision, to: { $0 == .fp32 ? .null : .string($0.rawValue) },
            from: { $0.string.flatMap(CachePrecision.init(rawValue:)) }
        ).recordedIfSet,
        .of(
            "cache_bytes", "--cache-size", \.rollout.cacheSize, to: { $0.map { .integer($0.bytes) } ?? .null },
            from: { $0.int.map { ByteSize(bytes: $0) } },
            check: { try OptionError.require((1...1 << 50).contains($1?.bytes ?? 1), "\($0) must be at least 1 byte") }
        ).recordedIfSet,
        .choice("loss", "--loss", \.loss.kind),
        .of(
            "alpha", "--alpha", \.loss.alpha, to: \.json, from: AlphaSchedule.init(json:), check: { try $1.check() }),
        .double("epsilon_low", "--epsilon-low", \.loss.epsilonLow, .share),
        .double("epsilon_high", "--epsilon-high", \.loss.epsilonHigh, .notNegative),
        .double("entropy_coefficient", "--entropy-coefficient", \.loss.entropyCoefficient, .notNegative),
        .choice("advantage_scale", "--advantage-scale", \.loss.advantageScale),
        .int("updates_per_batch", "--updates-per-batch", \.loss.updatesPerBatch, 1...1 << 16)
            .optionalInOldCheckpoints,
        .optionalInt("mini_batches", "--mini-batches", \.loss.miniBatches, 1...1 << 16).optionalInOldCheckpoints,
        .choice("old_log_probabilities", "--old-log-probabilities", \.loss.oldLogProbabilities)
            .optionalInOldCheckpoints,
        .double("kl_coefficient", "--kl-coefficient", \.loss.klCoefficient, .notNegative).optionalInOldCheckpoints,
        .choice("kl_estimator", "--kl-estimator", \.loss.klEstimator).optionalInOldCheckpoints,
        .choice("kl_reduction", "--kl-reduction", \.loss.klReduction).optionalInOldCheckpoints,
        .optionalDouble("kl_limit", "--kl-limit", \.loss.klLimit, .positive).optionalInOldCheckpoints,
        .choice("reference_precision", "--reference-precision", \.loss.referencePrecision).optionalInOldCheckpoints,
        .of(
            "reward", "--reward", \.reward.source, to: { .string($0.text) },
            from: { $0.string.flatMap(RewardSource.init) }
        ).optionalInOldCheckpoints,
        .double("reward_timeout", "--reward-timeout", \.reward.timeout, .positive).optionalInOldCheckpoints,
        .of(
            "rewards", "--reward-…/--gamma", \.reward.values, to: \.json, from: ModeReward.Values.init(json:),
            check: { try $1.check() }),
        .choice("answer", "--answer", \.reward.answerRule),
        .int("balance", "--balance", \.guards.balance, 0...1 << 40).optionalInOldCheckpoints,
        .choice("balance_weight", "--balance-weight", \.guards.balanceWeight).optionalInOldCheckpoints,
        .double("balance_cap", "--balance-cap", \.guards.balanceCap, .positive).optionalInOldCheckpoints,
        .int("refill", "--refill", \.guards.refill, 0...1 << 40).optionalInOldCheckpoints,
        .bool("mask_truncated", "--mask-truncated", \.guards.masksTruncated).optionalInOldCheckpoints,
        .double("alarm_share", "--alarm-share", \.guards.alarmShare, .belowHalf).optionalInOldCheckpoints,
        .int("alarm_steps", "--alarm-steps", \.guards.alarmSteps, 0...1 << 40).optionalInOldCheckpoints,
        .sampler("sampler_cap", "--sampler-cap", \.sampler.cap),
        .sampler("sampler_control_cap", "--sampler-control-cap", \.sampler.controlCap),
        .sampler("sampler_tolerance", "--sampler-tolerance", \.sampler.tolerance),
        .of(
            "async_steps", "--async-steps", \.sampler.asyncSteps, to: { $0 == 0 ? .null : .integer($0) },
            from: { $0.isNull ? 0 : $0.int },
            check: { try OptionError.require((0...1).contains($1), "\($0) must be 0 or 1") }
        ).recordedIfSet,
        .learningRate, .schedule, .scheduleSteps, .finalLearningRateShare, .warmup, .beta1, .beta2,
        .epsilon(key: "adam_epsilon"),
        .weightDecay, .clipNorm, .freeze, .trainRows, .adapters, .recomputation, .activations, .microBatch, .seed,
        .int("save_every", "--save-every", \.run.saveEvery, 1...1 << 40),
        .keepLast, .savedContent,
        .of(
            "keep_deltas", "--keep-deltas", \.run.keepsDeltas, to: { $0 ? .bool(true) : .null },
            from: { $0.isNull ? false : $0.bool }
        ).recordedIfSet,
        .int("probe_every", "--probe-every", \.run.probeEvery, 1...1 << 40),
        .int("eval_every", "--eval-every", \.run.evaluateEvery, 1...1 << 40).optionalInOldCheckpoints,
        .products, .moments, .weights, .slices, .shardsMoments,
        .bool("log_probabilities", "--log-probabilities", \.run.logsProbabilities).optionalInOldCheckpoints,
        .bool("split_gradient_norm", "--split-gradient-norm", \.run.logsControlGradientNorm).optionalInOldCheckpoints,
    ]

    package func checkCombinations() throws {
        try checkSharedCombinations()
        let require = OptionError.require
        try require(
            !run.keepsDeltas || run.savedContent == .complete,
            "--keep-deltas keeps what changed in the model, and --save adapter no model; --save-every 1 keeps the "
                + "adapter of every step")
        let (balance, samples) = (guards.balance, rollout.samplesPerPrompt)
        try require(
            2 * balance <= samples,
            "--balance \(balance) forces \(2 * balance) samples of a group, which has --samples \(samples)")
        try require(
            sampler.asyncSteps == 0 || guards.refill == 0,
            "--refill samples in the middle of a step, for which --async-steps leaves no time; give one of them")
        let (updates, miniBatches) = (loss.updatesPerBatch, loss.resolvedMiniBatches)
        try require(
            miniBatches <= rollout.promptsPerStep,
            "\(miniBatches) mini-batches cannot be made of --prompts \(rollout.promptsPerStep), because groups are "
                + "never split")
        try require(
            updates % miniBatches == 0,
            "--updates-per-batch \(updates) must be a multiple of --mini-batches \(miniBatches)")
    }
}

extension OptionField<RLOptions> {
    /// A positive number about servers, which only states of runs with another value than the default record.
    fileprivate static func sampler(
        _ key: String, _ flag: String, _ path: WritableKeyPath<RLOptions, Double> & Sendable
    ) -> Self {
        let standard = RLOptions()[keyPath: path]
        return .of(
            key, flag, path, to: { $0 == standard ? .null : .double($0) },
            from: { $0.isNull ? standard : $0.double }, check: ValidNumbers.positive.check
        ).recordedIfSet
    }
}
