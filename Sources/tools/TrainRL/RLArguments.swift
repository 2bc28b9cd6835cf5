import ArgumentParser
import TrainLoop
import Transformer

// The flags of train-rl by purpose. All are optional, so that what was given can be told from what was not: a flag that
// was given goes before a preset, and a resumed run refuses one that differs from its own.

private let standard = RLOptions()

struct RLRunArguments: ParsableArguments {
    @Option(help: "Steps in all. Default: \(standard.steps).")
    var steps: Int?

    @Option(help: "Prompts in one step. Default: \(standard.promptsPerStep).")
    var prompts: Int?

    @Option(help: "Answers sampled for each prompt. Default: \(standard.samplesPerPrompt).")
    var samples: Int?

    @Option(help: "Steps of linear warm-up of the learning rate. Default: \(standard.warmupSteps).")
    var warmup: Int?

    @Option(help: "Steps between saved states. Default: \(standard.saveEvery).")
    var saveEvery: Int?

    @Option(help: "Steps between measurements of mode preference. Default: \(standard.probeEvery).")
    var probeEvery: Int?

    @Flag(help: "Put token ids and log-probabilities into the rollout log.")
    var logProbabilities = false

    @Flag(
        inversion: .prefixedNo,
        help:
            "Measure the gradient of the control tokens apart: a pass over the prompts, 4 bytes a parameter. On by default."
    )
    var splitGradientNorm: Bool?

    func apply(to options: inout RLOptions) {
        take(steps, into: &options.steps)
        take(prompts, into: &options.promptsPerStep)
        take(samples, into: &options.samplesPerPrompt)
        take(warmup, into: &options.warmupSteps)
        take(saveEvery, into: &options.saveEvery)
        take(probeEvery, into: &options.probeEvery)
        if logProbabilities { options.logsProbabilities = true }
        take(splitGradientNorm, into: &options.splitsGradientNorm)
    }
}

struct RLSamplingArguments: ParsableArguments {
    @Option(help: "Longer prompts are left out, and counted. Default: \(standard.maximumPromptTokens).")
    var maxPromptTokens: Int?

    @Option(help: "Tokens of an answer at most; a longer one counts as wrong. Default: \(standard.maximumNewTokens).")
    var maxNewTokens: Int?

    @Option(help: "Tokens of a short answer at most. Default: no limit of its own.")
    var maxShortTokens: Int?

    @Option(help: "Sampling temperature; the loss sees the same. Default: \(standard.temperature).")
    var temperature: Double?

    func apply(to options: inout RLOptions) {
        take(maxPromptTokens, into: &options.maximumPromptTokens)
        take(maxNewTokens, into: &options.maximumNewTokens)
        takeOptional(maxShortTokens, into: &options.maximumShortTokens)
        take(temperature, into: &options.temperature)
    }
}

struct RLRewardArguments: ParsableArguments {
    @Option(
        help: "Who judges: math (equivalence; the default), exact (same characters), or command:PROGRAM.",
        transform: RLOptions.RewardSource.parsed)
    var reward: RLOptions.RewardSource?

    @Option(help: "Seconds that a reward program may take for one step. Default: \(Int(standard.rewardTimeout)).")
    var rewardTimeout: Double?

    @Option(help: "Where the answer stands: in a box (the default), the whole text, or any of the usual places.")
    var answer: AnswerRule?

    @Option(help: "A right answer after thinking is worth 1-gamma. Default: 0.5.")
    var gamma: Double?

    @Option(parsing: .unconditional, help: "What a right short answer is worth. Default: 1.")
    var rewardShortCorrect: Double?

    @Option(parsing: .unconditional, help: "What a right answer after thinking is worth. Default: 1-gamma.")
    var rewardThinkCorrect: Double?

    @Option(parsing: .unconditional, help: "What a wrong or truncated short answer is worth. Default: -1.")
    var rewardShortWrong: Double?

    @Option(parsing: .unconditional, help: "What a wrong or truncated answer after thinking is worth. Default: -1.")
    var rewardThinkWrong: Double?

    @Option(parsing: .unconditional, help: "What a malformed answer is worth. Default: -1.")
    var rewardMalformed: Double?

    func validate() throws {
        if gamma != nil, rewardThinkCorrect != nil {
            throw ValidationError(
                "--gamma and --reward-think-correct both say what a right long answer is worth; give one")
        }
    }

    func apply(to options: inout RLOptions) {
        take(reward, into: &options.reward)
        take(rewardTimeout, into: &options.rewardTimeout)
        take(answer, into: &options.answerRule)
        if let gamma { options.rewards.thinkRight = 1 - gamma }
        take(rewardShortCorrect, into: &options.rewards.shortRight)
        take(rewardThinkCorrect, into: &options.rewards.thinkRight)
        take(rewardShortWrong, into: &options.rewards.shortWrong)
        take(rewardThinkWrong, into: &options.rewards.thinkWrong)
        take(rewardMalformed, into: &options.rewards.malformed)
    }
}

struct RLLossArguments: ParsableArguments {
    @Option(help: "How tokens are weighed. Default: degrpo.")
    var loss: PolicyLoss.Kind?

    @Option(
        help:
            "Weight of the control token in the degrpo losses: a number, auto=K, linear:FROM:TO:STEPS, or length=K. Default: 0.001.",
        transform: RLOptions.Alpha.parsed
    )
    var alpha: RLOptions.Alpha?

    @Option(help: "Clip range below 1. Default: \(standard.epsilonLow).")
    var epsilonLow: Double?

    @Option(help: "Clip range above 1. Default: \(standard.epsilonHigh).")
    var epsilonHigh: Double?

    @Option(help: "Weight of the entropy bonus. Default: 0.")
    var entropyCoefficient: Double?

    @Option(help: "What an advantage is divided by: none (the default), or the group's standard deviation.")
    var advantageScale: Advantages.Scale?

    @Option(help: "Optimizer updates with one step's samples. Default: 1.")
    var updatesPerBatch: Int?

    @Option(help: "Parts a step's groups are cut into, one update each. Default: as many as updates.")
    var miniBatches: Int?

    @Option(help: "Where ratios of several updates are taken to. Default: sampled.")
    var oldLogProbabilities: RLOptions.OldLogProbabilities?

    @Option(help: "Weight of the KL term; above 0 it needs a reference policy in memory. Default: 0.")
    var klCoefficient: Double?

    @Option(help: "Estimator of the KL. Default: k3.")
    var klEstimator: PolicyLoss.KLEstimator?

    @Option(help: "mean (over tokens as the loss does; the default), or sum (equation 4 read literally).")
    var klReduction: PolicyLoss.KLReduction?

    @Option(help: "A token's KL estimate counts as this at most, either way. Default: no limit.")
    var klLimit: Double?

    @Option(help: "Checkpoint of the reference policy. Default: the start of the run.")
    var reference: String?

    @Option(help: "How the reference is held: bf16 (the default) or fp32.")
    var referencePrecision: WeightPrecision?

    func apply(to options: inout RLOptions) {
        take(loss, into: &options.loss)
        take(alpha, into: &options.alpha)
        take(epsilonLow, into: &options.epsilonLow)
        take(epsilonHigh, into: &options.epsilonHigh)
        take(entropyCoefficient, into: &options.entropyCoefficient)
        take(advantageScale, into: &options.advantageScale)
        take(updatesPerBatch, into: &options.updatesPerBatch)
        takeOptional(miniBatches, into: &options.miniBatches)
        take(oldLogProbabilities, into: &options.oldLogProbabilities)
        take(klCoefficient, into: &options.klCoefficient)
        take(klEstimator, into: &options.klEstimator)
        take(klReduction, into: &options.klReduction)
        takeOptional(klLimit, into: &options.klLimit)
        take(referencePrecision, into: &options.referencePrecision)
    }
}

struct RLGuardArguments: ParsableArguments {
    @Option(help: "Samples of each group that are forced into each mode. Default: 0.")
    var balance: Int?

    @Option(
        help: "Control tokens of balanced groups: importance (weighed; the default), or none (forced ones left out).")
    var balanceWeight: RLOptions.BalanceWeight?

    @Option(help: "Where those weights are cut off. Default: \(standard.balanceCap).")
    var balanceCap: Double?

    @Option(help: "Fresh prompts a step at most in place of groups whose rewards are all equal. Default: 0.")
    var refill: Int?

    @Flag(help: "Leave truncated answers out of the loss.")
    var maskTruncated = false

    @Option(help: "Warn when a mode has had less than this share … Default: \(standard.alarmShare).")
    var alarmShare: Double?

    @Option(help: "… for so many steps; 0: never. Default: \(standard.alarmSteps).")
    var alarmSteps: Int?

    @Option(help: "Problems to evaluate on, free and with each mode forced; kept out of training.")
    var evalData: String?

    @Option(help: "Steps between evaluations on --eval-data. Default: \(standard.evaluateEvery).")
    var evalEvery: Int?

    func apply(to options: inout RLOptions) {
        take(balance, into: &options.balance)
        take(balanceWeight, into: &options.balanceWeight)
        take(balanceCap, into: &options.balanceCap)
        take(refill, into: &options.refill)
        if maskTruncated { options.masksTruncated = true }
        take(alarmShare, into: &options.alarmShare)
        take(alarmSteps, into: &options.alarmSteps)
        take(evalEvery, into: &options.evaluateEvery)
    }
}

extension PolicyLoss.Kind: ExpressibleByArgument {}
extension PolicyLoss.KLEstimator: ExpressibleByArgument {}
extension PolicyLoss.KLReduction: ExpressibleByArgument {}
extension AnswerRule: ExpressibleByArgument {}
extension Advantages.Scale: ExpressibleByArgument {}
extension RLOptions.OldLogProbabilities: ExpressibleByArgument {}
extension WeightPrecision: ExpressibleByArgument {}
extension ProductPrecision: ExpressibleByArgument {}
extension RLOptions.BalanceWeight: ExpressibleByArgument {}
extension RLOptions.Preset: ExpressibleByArgument {}
extension RLOptions.Alpha {
    static func parsed(_ text: String) throws -> Self {
        guard let value = Self(text) else {
            throw ValidationError(
                "give a number that is not negative, auto=K or length=K with K > 0, or linear:FROM:TO:STEPS")
        }
        return value
    }
}

extension RLOptions.RewardSource {
    static func parsed(_ text: String) throws -> Self {
        guard let value = Self(rawValue: text) else { throw ValidationError("give math, exact, or command:PROGRAM") }
        return value
    }
}
