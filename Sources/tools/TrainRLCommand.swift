import ArgumentParser
import CheckpointIO
import Foundation
import TrainLoop

struct TrainRLCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train-rl",
        abstract: "Let a warmed-up model learn when to think (DeGRPO).",
        discussion: """
            Example:
              ckpt train-rl sft/step-000020.h5 --data problems.jsonl -o rl/ --steps 100 --alpha auto=5

            Each step samples --samples answers to each of --prompts problems, rewards them (right and short 1, \
            right after thinking 1-gamma, wrong or malformed -1), and makes one update. Watch reward and the shares \
            of the modes; the loss stays near zero, since the advantages of a group add up to zero.

            The effect depends on the weight of the control token: under plain GRPO it is 1/(T+1) for a response of \
            T tokens. The first step prints how --alpha compares; --alpha auto=K sets it to K times that.
            """)

    @OptionGroup var arguments: RunArguments

    @Option(help: "Problems with answers, JSON lines (GSM8K, MATH and verl rows are read as they are).")
    var data: String

    @Option(help: "Updates in all.")
    var steps = 100

    @Option(help: "Prompts in one step.")
    var prompts = 32

    @Option(help: "Answers sampled for each prompt.")
    var samples = 8

    @Option(help: "Longer prompts are left out, and counted.")
    var maxPromptTokens = 1024

    @Option(help: "Tokens of an answer at most; a longer one counts as wrong.")
    var maxNewTokens = 1024

    @Option(help: "Sampling temperature.")
    var temperature = 1.0

    @Option(help: "degrpo, degrpo-released, grpo, grpo-token-mean or dr-grpo.")
    var loss = PolicyLoss.Kind.degrpo

    @Option(help: "Weight of the control token in the degrpo losses: a number, or auto=K.")
    var alpha = RLOptions.Alpha.fixed(1e-3)

    @Option(help: "A right answer after thinking is worth 1-gamma.")
    var gamma = 0.5

    @Option(help: "Where the answer stands: boxed, bare (the whole text), any.")
    var answer = AnswerRule.boxed

    @Option(help: "Clip range below 1.")
    var epsilonLow = 0.2

    @Option(help: "Clip range above 1.")
    var epsilonHigh = 0.2

    @Option(help: "Weight of the entropy bonus.")
    var entropyCoefficient = 0.0

    @Option(help: "What an advantage is divided by: none, or std (the group's standard deviation).")
    var advantageScale = Advantages.Scale.none

    @Option(name: .customLong("lr"), help: "Peak learning rate.")
    var learningRate = 1e-6

    @Option(help: "constant, linear or cosine.")
    var schedule = LearningRateSchedule.Shape.constant

    @Option(help: "Updates of linear warm-up.")
    var warmup = 0

    @Option(help: "Where the schedule ends, as a share of the peak.")
    var finalLrShare = 0.0

    @Option(help: "AdamW's beta 1.")
    var beta1 = 0.9

    @Option(help: "AdamW's beta 2.")
    var beta2 = 0.999

    @Option(help: "AdamW's weight decay, on matrices.")
    var weightDecay = 0.0

    @Option(help: "Updates between saved states.")
    var saveEvery = 10

    @Option(help: "Updates between measurements of mode preference.")
    var probeEvery = 10

    func validate() throws {
        for (name, value) in [
            ("--steps", steps), ("--prompts", prompts), ("--samples", samples),
            ("--max-prompt-tokens", maxPromptTokens),
            ("--max-new-tokens", maxNewTokens), ("--save-every", saveEvery), ("--probe-every", probeEvery),
        ] {
            guard value >= 1 else { throw ValidationError("\(name) must be at least 1") }
        }
        guard temperature > 0, temperature.isFinite else { throw ValidationError("--temperature must be above 0") }
        guard learningRate > 0, learningRate.isFinite else { throw ValidationError("--lr must be above 0") }
        guard (0...1).contains(epsilonLow), epsilonHigh >= 0 else {
            throw ValidationError("--epsilon-low must lie in 0...1, --epsilon-high at least at 0")
        }
    }

    func run() throws {
        let source = try arguments.source()
        let problems = try ProblemFile.read(path: data, requiresAnswer: true)
        let probeProblems = try arguments.probeProblems()
        let options = try !arguments.isResuming ? options : RLOptions(storedIn: source)
        var trainer = try RLTrainer(
            source, problems: problems, probe: probeProblems, dataDigest: try FileDigest.sha256(path: data),
            options: options, resuming: arguments.isResuming)
        let folder = try arguments.folder()

        let summary = trainer.summary
        Terminal.writeError(
            "\(summary.problems) problems, \(summary.heldOutForProbe) of the data held out for the probe"
                + (summary.droppedOverlong > 0 ? ", \(summary.droppedOverlong) dropped as too long" : "")
                + "; \(options.steps) steps of \(options.promptsPerStep) prompts × \(options.samplesPerPrompt) samples")
        if let ratio = options.rewards.breakEven {
            Terminal.writeError(
                "short mode pays for a prompt when accuracy_short / accuracy_think > \(Format.number(ratio))")
        }
        var view = TrainingView(
            shown: [
                "reward_mean", "num_think", "num_short", "acc_think", "acc_short", "response_length_mean", "grad_norm",
                "loss",
            ])
        let last = try Interruption.watching { interruption in
            try trainer.run(in: folder) { view.show($0, stops: interruption.isRequested) }
        }
        view.finish()
        RunArguments.conclude(
            "train-rl", folder: folder, data: data, last: last, step: trainer.state.step, of: options.steps)
    }

    private var options: RLOptions {
        var options = RLOptions()
        options.steps = steps
        options.promptsPerStep = prompts
        options.samplesPerPrompt = samples
        options.maximumPromptTokens = maxPromptTokens
        options.maximumNewTokens = maxNewTokens
        options.temperature = temperature
        options.loss = loss
        options.alpha = alpha
        options.rewards = ModeReward.Values(gamma: gamma)
        options.answerRule = answer
        options.epsilonLow = epsilonLow
        options.epsilonHigh = epsilonHigh
        options.entropyCoefficient = entropyCoefficient
        options.advantageScale = advantageScale
        options.learningRate = learningRate
        options.schedule = schedule
        options.warmupSteps = warmup
        options.finalLearningRateShare = finalLrShare
        options.beta1 = beta1
        options.beta2 = beta2
        options.weightDecay = weightDecay
        options.clipNorm = arguments.clipNorm
        options.microBatchTokens = arguments.microBatchTokens
        options.freeze = arguments.freeze
        options.seed = arguments.seed
        options.saveEvery = saveEvery
        options.probeEvery = probeEvery
        options.keepLast = arguments.keepLast
        return options
    }
}

extension PolicyLoss.Kind: ExpressibleByArgument {}
extension AnswerRule: ExpressibleByArgument {}
extension Advantages.Scale: ExpressibleByArgument {}

extension RLOptions.Alpha: ExpressibleByArgument {
    public init?(argument: String) {
        if argument.hasPrefix("auto=") {
            guard let factor = Double(argument.dropFirst(5)), factor > 0, factor.isFinite else { return nil }
            self = .auto(factor)
        } else {
            guard let value = Double(argument), value >= 0, value.isFinite else { return nil }
            self = .fixed(value)
        }
    }

    public var defaultValueDescription: String {
        switch self {
        case .fixed(let value): "\(value)"
        case .auto(let factor): "auto=\(factor)"
        }
    }
}
