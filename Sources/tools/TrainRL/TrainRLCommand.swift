import ArgumentParser
import CheckpointIO
import TrainLoop
import Transformer

struct TrainRLCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train-rl",
        abstract: "Let a warmed-up model learn when to think (DeGRPO).",
        discussion: """
            Examples:
              ckpt train-rl sft/step-000020.h5 --data problems.jsonl -o rl/ --steps 5 \\
                --max-new-tokens 64
              ckpt train-rl sft/step-000020.h5 --data problems.jsonl --dry-run \\
                --max-new-tokens 64
              ckpt train-rl --resume rl/ --data problems.jsonl
              ckpt train-rl --resume rl/ --data problems.jsonl --steps 6

            Each step samples --samples answers to each of --prompts problems, rewards them (1 for a right short \
            answer, 1-gamma for a right answer after thinking, -1 for a wrong or malformed one), and makes \
            --updates-per-batch updates. Watch the reward and the shares of the modes. The loss shows no progress: the \
            advantages of a group sum to zero and the first update has ratio 1, so it stays near zero.

            The effect depends on the weight of the control token: under plain GRPO it is 1/(T+1) for a response of \
            T tokens. --alpha auto=K, the default with K = 5, sets it to K times that at the mean length of the first \
            step's answers.

            With --reward command:PROGRAM a program judges. It receives one line of JSON per step, \
            {"responses": [{"id", "problem", "answer", "level", "mode", "response", "found"}, …]}, and answers with \
            one, {"results": [true, false, {"right": true, "reward": 0.3}, …]}. docs/training.md has every formula.

            With --rollout-server http://127.0.0.1:8000 a vLLM, SGLang or llama-server samples the answers. It gets \
            new weights before every step through files in RUN/served, and every step compares its log-probabilities \
            with ours.
            """)

    @OptionGroup var arguments: RunArguments
    @OptionGroup var shared: SharedArguments

    @Option(
        help: "Problems with answers, as GSM8K, MATH, verl and others have them (docs/data.md).",
        completion: .file(extensions: ["jsonl", "json", "parquet", "csv"]))
    var data: String

    @OptionGroup var reading: DataArguments
    @OptionGroup var lengths: LengthArguments

    @Option(help: "Problems to evaluate on, free and with each mode forced; kept out of training.")
    var evalData: String?

    @Option(help: "Checkpoint of the reference policy of the KL term. Default: the start of the run.")
    var reference: String?

    @Option(help: "Published settings instead of the defaults: thinkless. Flags that are given take precedence.")
    var preset: RLPreset?

    @Flag(help: "Report what the run would take (memory, disk, tokens, and time by a short trial), and write nothing.")
    var dryRun = false

    @OptionGroup var forecast: ForecastArguments

    @OptionGroup(title: "Run") var schedule: RLRunArguments
    @OptionGroup(title: "Sampling") var sampling: RLSamplingArguments
    @OptionGroup(title: "Servers that sample") var serving: RLServerArguments
    @OptionGroup(title: "Servers that sample") var sampler: RLSamplerArguments
    @OptionGroup(title: "Reward") var rewards: RLRewardArguments
    @OptionGroup(title: "Reward") var rewardValues: RewardValueArguments
    @OptionGroup(title: "Loss") var loss: RLLossArguments
    @OptionGroup(title: "Guards") var guards: RLGuardArguments
    @OptionGroup(title: "Optimizer") var optimizer: OptimizerArguments<RLOptions>

    func validate() throws {
        guard arguments.isResuming || arguments.output != nil || dryRun else {
            throw ValidationError("give -o RUN, the folder for the run")
        }
        try forecast.check(dryRun: dryRun)
        guard serving.rolloutServer.isEmpty else {
            guard !dryRun else {
                throw ValidationError("--dry-run measures what sampling here takes; leave out --rollout-server")
            }
            return
        }
        guard !sampler.isGiven else {
            throw ValidationError(
                "--sampler-cap, --sampler-control-cap, --sampler-tolerance and --async-steps are about "
                    + "--rollout-server; give that too"
            )
        }
    }

    func run() throws {
        let ranks = try RankProcess.start()
        try RankProcess.refuseSeveral(ranks, for: serving.rolloutServer.isEmpty ? nil : "--rollout-server")
        let resumed = try arguments.resumedFolder(ranks)
        var read: RLInputs?
        var trainer = try arguments.trainer(resumed) { source in
            let options = try arguments.options(of: source, changedBy: apply)
            try options.check()
            let inputs = try read ?? self.inputs(options)
            read = inputs
            return try RLTrainer(
                source, inputs, options: options, resuming: arguments.isResuming, ranks: ranks,
                checkMemory: MemoryFit.checkTraining)
        }
        let options = trainer.options
        describe(trainer)
        try MemoryFit.announce(
            trainer.memory, remedy: "give a smaller --micro-batch-tokens or --cache-size, or shorter samples")
        if dryRun {
            let trial = trainer.trial()
            let text = forecast.text(trial.step, shardsMoments: options.optimizer.shardsMoments)
            return print(RLTrialText.text(trial, steps: trainer.totalSteps, forecast: text), terminator: "")
        }
        try arguments.train(
            &trainer, in: resumed,
            inputs: [
                ("--data", data), ("--eval-data", evalData), ("--reference", reference), ("--map", reading.map?.text),
            ] + serving.repeated,
            columns: .reinforcement(totalSteps: trainer.totalSteps, showsKL: options.loss.klCoefficient > 0),
            ranks: ranks)
    }

    private func inputs(_ options: RLOptions) throws -> RLInputs {
        let requiresAnswer = options.reward.source.needsGroundTruth
        var inputs = RLInputs(
            problems: try ProblemFile.read(path: data, map: reading.map, requiresAnswer: requiresAnswer),
            dataDigest: try DataFile.sha256(path: data))
        inputs.probe = try arguments.probeProblems()
        if let path = evalData {
            inputs.evaluation = (
                try ProblemFile.read(path: path, map: reading.map, requiresAnswer: requiresAnswer),
                try DataFile.sha256(path: path)
            )
        }
        if requiresAnswer {
            try inputs.problems.checkAnswers(of: data)
            if let path = evalData { try inputs.evaluation?.problems.checkAnswers(of: path) }
        }
        inputs.allowsLong = lengths.allowLong
        inputs.servers = try serving.servers()
        inputs.reference = try reference.map { try CheckpointFile(path: $0) }
        return inputs
    }

    /// Applies the preset and the flags that were given.
    private func apply(to options: inout RLOptions) {
        if let preset { options.apply(preset) }
        shared.apply(to: &options)
        schedule.apply(to: &options)
        sampling.apply(to: &options)
        sampler.apply(to: &options)
        rewards.apply(to: &options)
        rewardValues.apply(to: &options.reward.values)
        loss.apply(to: &options)
        guards.apply(to: &options)
        optimizer.apply(to: &options)
    }

    private func describe(_ trainer: RLTrainer) {
        let (options, summary) = (trainer.options, trainer.summary)
        if let preset { Terminal.writeError(PresetText.text(preset, options)) }
        let rollout = options.rollout
        Terminal.writeError(
            "\(Format.counted(summary.problems, "problem")), \(summary.heldOutForProbe) of the data held out for the "
                + "probe" + (summary.heldOutForEvaluation > 0 ? ", \(summary.heldOutForEvaluation) for evaluation" : "")
                + (summary.droppedOverlong > 0 ? ", \(summary.droppedOverlong) dropped as too long" : "")
                + "; \(Format.counted(options.run.steps, "step")) of "
                + "\(Format.counted(rollout.promptsPerStep, "prompt")) × "
                + Format.counted(rollout.samplesPerPrompt, "sample"))
        Terminal.writeError(Self.breakEven(options.reward.values))
        for warning in trainer.startWarnings { Terminal.warn(warning) }
    }

    /// The condition under which a short answer pays more than a long one.
    private static func breakEven(_ values: ModeReward.Values) -> String {
        if let ratio = values.breakEven {
            return "short mode pays for a prompt when accuracy_short / accuracy_think > \(Format.number(ratio))"
        }
        func side(_ mode: String, _ right: Double, _ wrong: Double) -> String {
            "\(Format.number(right - wrong)) · accuracy_\(mode) \(wrong < 0 ? "−" : "+") \(Format.number(abs(wrong)))"
        }
        return "short mode pays for a prompt when \(side("short", values.shortRight, values.shortWrong)) > "
            + side("think", values.thinkRight, values.thinkWrong)
    }
}
