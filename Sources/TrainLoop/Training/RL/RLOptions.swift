import CheckpointIO
import OrderedJSON
import Transformer

/// Options of the reinforcement learning stage, with the defaults of `ckpt train-rl`.
public struct RLOptions: TrainingOptions, Sendable, Equatable {
    /// How the weight of the control token is set.
    public enum Alpha: Sendable, Equatable {
        case fixed(Double)
        /// K / (mean T + 1), from the first step's rollouts, then kept: K times the weight under `grpo`.
        case auto(Double)
        /// From one value at the first step in a straight line to another, reached after `steps` steps and then kept.
        case linear(from: Double, to: Double, steps: Int)
        /// K/(T_i+1), each sample by its own length: as large as a constant but still coupled, for ablations.
        case length(Double)
    }

    /// Where answers are judged.
    public enum RewardSource: Sendable, Equatable {
        /// Mathematical equivalence.
        case math
        /// The same characters.
        case exact
        /// A program of the user's own.
        case command(String)
    }

    /// The log-probabilities that ratios are taken to, where a batch is used for several updates.
    public enum OldLogProbabilities: String, Sendable, CaseIterable {
        /// Those of the sampler.
        case sampled
        /// Scored again, once a step, before the first update (as verl and the released code do).
        case recomputed
    }

    /// What forced control tokens are in the control loss, where some are.
    public enum BalanceWeight: String, Sendable, CaseIterable {
        /// Every control token is weighed by its probability over that of the mixture it came from.
        case importance
        /// Forced control tokens take no part in the control loss.
        case none
    }

    public var steps = 100
    public var promptsPerStep = 32
    /// G, the responses sampled for each prompt.
    public var samplesPerPrompt = 8
    public var maximumPromptTokens = 1024
    public var maximumNewTokens = 1024
    /// A short answer that is longer counts as truncated; nil: no limit of its own.
    public var maximumShortTokens: Int?
    public var temperature = 1.0

    public var loss = PolicyLoss.Kind.degrpo
    public var alpha = Alpha.fixed(1e-3)
    public var epsilonLow = 0.2
    public var epsilonHigh = 0.2
    public var entropyCoefficient = 0.0
    public var advantageScale = Advantages.Scale.none
    /// Optimizer updates made with the samples of one step.
    public var updatesPerBatch = 1
    /// Parts that a step's groups are cut into, one update each; nil: as many as updates.
    public var miniBatches: Int?
    public var oldLogProbabilities = OldLogProbabilities.sampled

    public var klCoefficient = 0.0
    public var klEstimator = PolicyLoss.KLEstimator.k3
    public var klReduction = PolicyLoss.KLReduction.mean
    public var klLimit: Double?
    /// How the reference policy is held in memory.
    public var referencePrecision = WeightPrecision.bf16

    public var reward = RewardSource.math
    /// Seconds that a reward program may take for one batch.
    public var rewardTimeout = 120.0
    public var rewards = ModeReward.Values()
    public var answerRule = AnswerRule.boxed

    /// Samples of each group that are forced into each mode.
    public var balance = 0
    public var balanceWeight = BalanceWeight.importance
    /// Importance weights of control tokens are cut off here.
    public var balanceCap = 5.0
    /// Fresh prompts a step at most in place of groups whose rewards are all equal.
    public var refill = 0
    /// Truncated samples take no part in the loss; they count as wrong in their group's mean all the same.
    public var masksTruncated = false
    /// The alarm rings when either mode has had a smaller share than this …
    public var alarmShare = 0.02
    /// … for so many steps; 0: never.
    public var alarmSteps = 10

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
    public var products = ProductPrecision.fp32
    public var seed: UInt64 = 0

    public var saveEvery = 10
    public var keepLast = 1
    public var probeEvery = 10
    /// Steps between evaluations of the dev problems, where there are some.
    public var evaluateEvery = 10
    /// Token ids and log-probabilities go into the rollout log.
    public var logsProbabilities = false
    /// The norms of the control tokens' and of the responses' gradient are measured apart.
    public var splitsGradientNorm = true

    public init() {}

    /// The resolved options as a checkpoint records them.
    public var json: JSON { recorded }

    /// The options of the run that saved `file`.
    ///
    /// - Throws: where the file has no training state, or one without these options.
    public init(storedIn file: CheckpointFile) throws { try self.init(recordedIn: file) }

    /// - Throws: `OptionError` where a flag of a resumed run asks for something else than these options.
    public func refuse(differing wanted: RLOptions) throws { try refuseDifferences(in: wanted) }

    var resolvedMiniBatches: Int { miniBatches ?? updatesPerBatch }
}

extension RLOptions: RecordedOptions {
    static let fields: [OptionField<RLOptions>] = [
        .int("steps", "--steps", \.steps), .int("prompts_per_step", "--prompts", \.promptsPerStep),
        .int("samples_per_prompt", "--samples", \.samplesPerPrompt),
        .int("max_prompt_tokens", "--max-prompt-tokens", \.maximumPromptTokens),
        .int("max_new_tokens", "--max-new-tokens", \.maximumNewTokens),
        .optionalInt("max_short_tokens", "--max-short-tokens", \.maximumShortTokens).sinceLater,
        .double("temperature", "--temperature", \.temperature),
        .choice("loss", "--loss", \.loss), .of("alpha", "--alpha", \.alpha, to: \.json, from: Alpha.init(json:)),
        .double("epsilon_low", "--epsilon-low", \.epsilonLow),
        .double("epsilon_high", "--epsilon-high", \.epsilonHigh),
        .double("entropy_coefficient", "--entropy-coefficient", \.entropyCoefficient),
        .choice("advantage_scale", "--advantage-scale", \.advantageScale),
        .int("updates_per_batch", "--updates-per-batch", \.updatesPerBatch).sinceLater,
        .optionalInt("mini_batches", "--mini-batches", \.miniBatches).sinceLater,
        .choice("old_log_probabilities", "--old-log-probabilities", \.oldLogProbabilities).sinceLater,
        .double("kl_coefficient", "--kl-coefficient", \.klCoefficient).sinceLater,
        .choice("kl_estimator", "--kl-estimator", \.klEstimator).sinceLater,
        .choice("kl_reduction", "--kl-reduction", \.klReduction).sinceLater,
        .optionalDouble("kl_limit", "--kl-limit", \.klLimit).sinceLater,
        .choice("reference_precision", "--reference-precision", \.referencePrecision).sinceLater,
        .choice("reward", "--reward", \.reward).sinceLater,
        .double("reward_timeout", "--reward-timeout", \.rewardTimeout).sinceLater,
        .of("rewards", "--reward-…/--gamma", \.rewards, to: \.json, from: ModeReward.Values.init(json:)),
        .choice("answer", "--answer", \.answerRule),
        .int("balance", "--balance", \.balance).sinceLater,
        .choice("balance_weight", "--balance-weight", \.balanceWeight).sinceLater,
        .double("balance_cap", "--balance-cap", \.balanceCap).sinceLater,
        .int("refill", "--refill", \.refill).sinceLater,
        .bool("mask_truncated", "--mask-truncated", \.masksTruncated).sinceLater,
        .double("alarm_share", "--alarm-share", \.alarmShare).sinceLater,
        .int("alarm_steps", "--alarm-steps", \.alarmSteps).sinceLater,
        .double("lr", "--lr", \.learningRate), .choice("schedule", "--schedule", \.schedule),
        .double("final_lr_share", "--final-lr-share", \.finalLearningRateShare),
        .int("warmup_steps", "--warmup", \.warmupSteps), .double("beta1", "--beta1", \.beta1),
        .double("beta2", "--beta2", \.beta2), .double("adam_epsilon", "--adam-epsilon", \.epsilon),
        .double("weight_decay", "--weight-decay", \.weightDecay), .double("clip_norm", "--clip-norm", \.clipNorm),
        .texts("freeze", "--freeze", \.freeze),
        .int("micro_batch_tokens", "--micro-batch-tokens", \.microBatchTokens), .seed("seed", "--seed", \.seed),
        .int("save_every", "--save-every", \.saveEvery), .int("keep_last", "--keep-last", \.keepLast),
        .int("probe_every", "--probe-every", \.probeEvery),
        .int("eval_every", "--eval-every", \.evaluateEvery).sinceLater,
        .choice("products", "--products", \.products).sinceLater,
        .bool("log_probabilities", "--log-probabilities", \.logsProbabilities).sinceLater,
        .bool("split_gradient_norm", "--split-gradient-norm", \.splitsGradientNorm).sinceLater,
    ]

    /// - Throws: `OptionError` naming the flag.
    public func check() throws {
        let require = OptionError.require
        try checkTraining()
        let counts: [(flag: String, value: Int, most: Int)] = [
            ("--steps", steps, 1 << 40), ("--prompts", promptsPerStep, 1 << 20),
            ("--samples", samplesPerPrompt, 1 << 16), ("--max-prompt-tokens", maximumPromptTokens, 1 << 24),
            ("--max-new-tokens", maximumNewTokens, 1 << 24), ("--max-short-tokens", maximumShortTokens ?? 1, 1 << 24),
            ("--updates-per-batch", updatesPerBatch, 1 << 16), ("--mini-batches", miniBatches ?? 1, 1 << 16),
            ("--save-every", saveEvery, 1 << 40), ("--probe-every", probeEvery, 1 << 40),
            ("--eval-every", evaluateEvery, 1 << 40),
        ]
        for (flag, value, most) in counts {
            try require(value >= 1, "\(flag) must be at least 1")
            try require(value <= most, "\(flag) must be at most \(most)")
        }
        for (flag, value) in [
            ("--refill", refill), ("--balance", balance), ("--alarm-steps", alarmSteps), ("--warmup", warmupSteps),
        ] {
            try require((0...1 << 40).contains(value), "\(flag) must not be negative")
        }
        for (flag, value) in [
            ("--temperature", temperature), ("--reward-timeout", rewardTimeout), ("--balance-cap", balanceCap),
            ("--kl-limit", klLimit ?? 1),
        ] {
            try require(value > 0 && value.isFinite, "\(flag) must be above 0")
        }
        for (flag, value) in [
            ("--epsilon-high", epsilonHigh), ("--entropy-coefficient", entropyCoefficient),
            ("--kl-coefficient", klCoefficient),
        ] {
            try require(value >= 0 && value.isFinite, "\(flag) must not be negative")
        }
        try require((0...1).contains(epsilonLow), "--epsilon-low must lie in 0...1")
        try require((0..<0.5).contains(alarmShare), "--alarm-share must lie in 0..<0.5")
        for value in [
            rewards.shortRight, rewards.thinkRight, rewards.shortWrong, rewards.thinkWrong, rewards.malformed,
        ] { try require(value.isFinite, "rewards must be finite") }
        try alpha.check()
        try require(
            2 * balance <= samplesPerPrompt,
            "--balance \(balance) forces \(2 * balance) samples of a group, which has --samples \(samplesPerPrompt)")
        try require(
            resolvedMiniBatches <= promptsPerStep,
            "\(resolvedMiniBatches) mini-batches cannot be made of --prompts \(promptsPerStep), as groups are never split"
        )
        try require(
            updatesPerBatch % resolvedMiniBatches == 0,
            "--updates-per-batch \(updatesPerBatch) must be a multiple of --mini-batches \(resolvedMiniBatches)")
    }
}

extension RLOptions.Alpha {
    /// `0.001`, `auto=K`, `linear:FROM:TO:STEPS` or `length=K`; nil for any other text.
    public init?(_ text: String) {
        if let value = Double(text) {
            self = .fixed(value)
        } else if text.hasPrefix("auto="), let factor = Double(text.dropFirst(5)) {
            self = .auto(factor)
        } else if text.hasPrefix("length="), let scale = Double(text.dropFirst(7)) {
            self = .length(scale)
        } else {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 4, parts[0] == "linear", let from = Double(parts[1]), let to = Double(parts[2]),
                let steps = Int(parts[3])
            else { return nil }
            self = .linear(from: from, to: to, steps: steps)
        }
        guard (try? check()) != nil else { return nil }
    }

    public var text: String {
        switch self {
        case .fixed(let value): "\(value)"
        case .auto(let factor): "auto=\(factor)"
        case .linear(let from, let to, let steps): "linear:\(from):\(to):\(steps)"
        case .length(let scale): "length=\(scale)"
        }
    }

    init?(json: JSON) {
        guard let text = json.double.map({ "\($0)" }) ?? json.string else { return nil }
        self.init(text)
    }

    var json: JSON {
        if case .fixed(let value) = self { return .double(value) }
        return .string(text)
    }

    func check() throws {
        let isValid =
            switch self {
            case .fixed(let value): value >= 0 && value.isFinite
            case .auto(let factor), .length(let factor): factor > 0 && factor.isFinite
            case .linear(let from, let to, let steps):
                from >= 0 && from.isFinite && to >= 0 && to.isFinite && (1...1 << 40).contains(steps)
            }
        try OptionError.require(
            isValid,
            "--alpha must be a number that is not negative, auto=K or length=K with K > 0, or linear:FROM:TO:STEPS")
    }

    /// The control token's weight at a step, counted from 1; nil while `auto` has not seen rollouts.
    func weight(step: Int) -> PolicyLoss.ControlWeight? {
        switch self {
        case .fixed(let value): .constant(value)
        case .auto: nil
        case .linear(let from, let to, let steps):
            .constant(from + (to - from) * min(1, Double(step - 1) / Double(steps)))
        case .length(let scale): .inverseLength(scale)
        }
    }
}

extension RLOptions.RewardSource: RawRepresentable {
    /// `math`, `exact` or `command:PROGRAM`.
    public init?(rawValue: String) {
        switch rawValue {
        case "math": self = .math
        case "exact": self = .exact
        default:
            guard rawValue.hasPrefix("command:"), rawValue.contains(where: { $0 != " " }), rawValue.count > 8 else {
                return nil
            }
            self = .command(String(rawValue.dropFirst(8)))
        }
    }

    public var rawValue: String {
        switch self {
        case .math: "math"
        case .exact: "exact"
        case .command(let program): "command:\(program)"
        }
    }

    /// A program may know by itself what is right.
    public var needsGroundTruth: Bool {
        if case .command = self { return false }
        return true
    }
}

extension RLOptions {
    /// What judges the answers; starts the program where there is one.
    ///
    /// - Throws: `RewardError.program`.
    public func makeReward() throws -> any Reward {
        switch reward {
        case .math: ModeReward(values: rewards, rule: answerRule)
        case .exact: ModeReward(values: rewards, rule: answerRule, grader: ExactGrader())
        case .command(let program):
            try ProgramReward(command: program, timeout: rewardTimeout, values: rewards, rule: answerRule)
        }
    }
}

extension ModeReward.Values {
    init?(json: JSON) {
        self.init()
        guard let shortRight = json["short_right"]?.double, let thinkRight = json["think_right"]?.double,
            let shortWrong = json["short_wrong"]?.double, let thinkWrong = json["think_wrong"]?.double,
            let malformed = json["malformed"]?.double
        else { return nil }
        self.shortRight = shortRight
        self.thinkRight = thinkRight
        self.shortWrong = shortWrong
        self.thinkWrong = thinkWrong
        self.malformed = malformed
    }

    var json: JSON {
        [
            "short_right": .double(shortRight), "think_right": .double(thinkRight), "short_wrong": .double(shortWrong),
            "think_wrong": .double(thinkWrong), "malformed": .double(malformed),
        ]
    }
}
