import ArgumentParser
import TrainLoop
import Transformer

// The flags of train-rl by purpose.

private let standard = RLOptions()

struct RLRunArguments: OptionArguments {
    @Option(help: "Steps in total. Default: \(standard.run.steps).")
    var steps: Int?

    @Option(help: "Prompts in one step. Default: \(standard.rollout.promptsPerStep).")
    var prompts: Int?

    @Option(help: "Answers sampled for each prompt. Default: \(standard.rollout.samplesPerPrompt).")
    var samples: Int?

    @Option(help: "Steps of linear warm-up of the learning rate. Default: 0.")
    var warmup: Int?

    @Option(help: "Steps between saved states. Default: \(standard.run.saveEvery).")
    var saveEvery: Int?

    @Flag(
        help: """
            Also keep the model of every other step, as a delta of the step before (step-N.delta.h5): 1 to 2 % of the \
            model in bf16 at a learning rate of 1e-6. Resuming starts from a saved state.
            """)
    var keepDeltas = false

    @Option(help: "Steps between measurements of mode preference. Default: \(standard.run.probeEvery).")
    var probeEvery: Int?

    @Flag(help: "Write token ids and log-probabilities to the rollout log.")
    var logProbabilities = false

    @Flag(
        inversion: .prefixedNo,
        help: """
            Measure the gradient norm of the control tokens separately, by a pass over the prompts and 4 bytes per \
            parameter. On by default.
            """)
    var splitGradientNorm: Bool?
}

struct RLSamplingArguments: OptionArguments {
    @Option(help: "Longer prompts are left out and counted. Default: \(standard.rollout.maximumPromptTokens).")
    var maxPromptTokens: Int?

    @Option(
        help: """
            Tokens of an answer at most; a longer one counts as wrong. Default: \(standard.rollout.maximumNewTokens).
            """)
    var maxNewTokens: Int?

    @Option(help: "Tokens of a short answer at most. Default: those of --max-new-tokens.")
    var maxShortTokens: Int?

    @Option(help: "Sampling temperature, which the loss uses too. Default: \(standard.rollout.temperature).")
    var temperature: Double?

    @Option(help: "Precision of cached keys and values: fp32 (the default), or bf16 for half the memory.")
    var cache: CachePrecision?

    @Option(
        help: ArgumentHelp(
            "Memory for cached keys and values; when it is full, answers wait and are computed again. Default: 4GiB.",
            valueName: "size"),
        transform: ByteSize.parsed)
    var cacheSize: ByteSize?
}

struct RLRewardArguments: OptionArguments {
    @Option(
        help: "What judges answers: math (equivalence; the default), exact (same characters), or command:PROGRAM.",
        transform: RewardSource.parsed)
    var reward: RewardSource?

    @Option(help: "Seconds that a reward program may take for one step. Default: \(Int(standard.reward.timeout)).")
    var rewardTimeout: Double?

    @Option(help: "Where the answer is found: in a box (the default), the whole text, or any of the usual places.")
    var answer: AnswerRule?
}

/// The values of the rewards, which are one option of a run.
struct RewardValueArguments: ParsableArguments {
    @Option(help: "A right answer after thinking is worth 1-gamma. Default: 0.5.")
    var gamma: Double?

    @Option(parsing: .unconditional, help: "Reward of a right short answer. Default: 1.")
    var rewardShortCorrect: Double?

    @Option(parsing: .unconditional, help: "Reward of a right answer after thinking. Default: 1-gamma.")
    var rewardThinkCorrect: Double?

    @Option(parsing: .unconditional, help: "Reward of a wrong or truncated short answer. Default: -1.")
    var rewardShortWrong: Double?

    @Option(parsing: .unconditional, help: "Reward of a wrong or truncated answer after thinking. Default: -1.")
    var rewardThinkWrong: Double?

    @Option(parsing: .unconditional, help: "Reward of a malformed answer. Default: -1.")
    var rewardMalformed: Double?

    func validate() throws {
        if gamma != nil, rewardThinkCorrect != nil {
            throw ValidationError(
                "--gamma and --reward-think-correct both set the reward of a right long answer; give one")
        }
    }

    var isGiven: Bool {
        [gamma, rewardShortCorrect, rewardThinkCorrect, rewardShortWrong, rewardThinkWrong, rewardMalformed]
            .contains { $0 != nil }
    }

    func apply(to values: inout ModeReward.Values) {
        values.shortRight = rewardShortCorrect ?? values.shortRight
        values.thinkRight = rewardThinkCorrect ?? gamma.map { 1 - $0 } ?? values.thinkRight
        values.shortWrong = rewardShortWrong ?? values.shortWrong
        values.thinkWrong = rewardThinkWrong ?? values.thinkWrong
        values.malformed = rewardMalformed ?? values.malformed
    }
}

struct RLLossArguments: OptionArguments {
    @Option(help: "How tokens are weighted. Default: degrpo.")
    var loss: PolicyLoss.Kind?

    @Option(
        help: """
            Weight of the control token in the degrpo losses: a number, auto=K, linear:FROM:TO:STEPS, or length=K. \
            Default: \(standard.loss.alpha.text).
            """,
        transform: AlphaSchedule.parsed)
    var alpha: AlphaSchedule?

    @Option(help: "Clip range below 1. Default: \(standard.loss.epsilonLow).")
    var epsilonLow: Double?

    @Option(help: "Clip range above 1. Default: \(standard.loss.epsilonHigh).")
    var epsilonHigh: Double?

    @Option(help: "Weight of the entropy bonus. Default: 0.")
    var entropyCoefficient: Double?

    @Option(help: "Divisor of an advantage: none (the default), or the group's standard deviation.")
    var advantageScale: Advantages.Scale?

    @Option(help: "Optimizer updates with the samples of one step. Default: 1.")
    var updatesPerBatch: Int?

    @Option(help: "Parts that a step's groups are divided into, one update each. Default: as many as updates.")
    var miniBatches: Int?

    @Option(help: "Source of the old log-probabilities in the ratios of several updates. Default: sampled.")
    var oldLogProbabilities: OldLogProbabilities?

    @Option(help: "Weight of the KL term; above 0 it needs a reference policy in memory. Default: 0.")
    var klCoefficient: Double?

    @Option(help: "Estimator of the KL. Default: k3.")
    var klEstimator: PolicyLoss.KLEstimator?

    @Option(help: "mean (over tokens, weighted as in the loss; the default), or sum (equation 4 read literally).")
    var klReduction: PolicyLoss.KLReduction?

    @Option(help: "Limit of a token's KL estimate, in both directions. Default: none.")
    var klLimit: Double?

    @Option(help: "Precision of the reference in memory: bf16 (the default) or fp32.")
    var referencePrecision: WeightPrecision?
}

struct RLGuardArguments: OptionArguments {
    @Option(help: "Samples of each group that are forced into each mode. Default: 0.")
    var balance: Int?

    @Option(
        help: "Control tokens of balanced groups: importance (weighted; the default), or none (forced ones left out).")
    var balanceWeight: BalanceWeight?

    @Option(help: "Cap of those weights. Default: \(standard.guards.balanceCap).")
    var balanceCap: Double?

    @Option(help: "Groups per step at most that fresh prompts replace because all rewards are equal. Default: 0.")
    var refill: Int?

    @Flag(help: "Leave truncated answers out of the loss.")
    var maskTruncated = false

    @Option(help: "Warn if a mode has had less than this share … Default: \(standard.guards.alarmShare).")
    var alarmShare: Double?

    @Option(help: "… for this number of steps; 0: never. Default: \(standard.guards.alarmSteps).")
    var alarmSteps: Int?

    @Option(help: "Steps between evaluations on --eval-data. Default: \(standard.run.evaluateEvery).")
    var evalEvery: Int?
}

extension PolicyLoss.Kind: ExpressibleByArgument {}
extension PolicyLoss.KLEstimator: ExpressibleByArgument {}
extension PolicyLoss.KLReduction: ExpressibleByArgument {}
extension AnswerRule: ExpressibleByArgument {}
extension Advantages.Scale: ExpressibleByArgument {}
extension OldLogProbabilities: ExpressibleByArgument {}
extension WeightPrecision: ExpressibleByArgument {}
extension ProductPrecision: ExpressibleByArgument {
    public init?(argument: String) { self.init(name: argument) }

    public static var allValueStrings: [String] { allCases.map(\.rawValue) + ["auto"] }
}
extension BalanceWeight: ExpressibleByArgument {}
extension RLPreset: ExpressibleByArgument {}

extension AlphaSchedule {
    static func parsed(_ text: String) throws -> Self {
        guard let value = Self(text) else { throw ValidationError("give \(requirement)") }
        return value
    }
}

extension RewardSource {
    static func parsed(_ text: String) throws -> Self {
        guard let value = Self(text) else { throw ValidationError("give math, exact, or command:PROGRAM") }
        return value
    }
}
