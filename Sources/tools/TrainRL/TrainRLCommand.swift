import ArgumentParser
import CheckpointIO
import Foundation
import TrainLoop
import Transformer

struct TrainRLCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train-rl",
        abstract: "Let a warmed-up model learn when to think (DeGRPO).",
        discussion: """
            Examples:
              ckpt train-rl sft/step-000020.h5 --data problems.jsonl -o rl/ --steps 5 \\
                --max-new-tokens 64 --alpha auto=5
              ckpt train-rl sft/step-000020.h5 --data problems.jsonl --dry-run \\
                --max-new-tokens 64
              ckpt train-rl --resume rl/ --data problems.jsonl

            Each step samples --samples answers to each of --prompts problems, rewards them (right and short 1, \
            right after thinking 1-gamma, wrong or malformed -1), and makes --updates-per-batch updates. Watch reward \
            and the shares of the modes. The loss says nothing: the advantages of a group add up to zero and the first \
            update has ratio 1, so it stays near zero however well the run goes.

            The effect depends on the weight of the control token: under plain GRPO it is 1/(T+1) for a response of \
            T tokens. The first step prints how --alpha compares; --alpha auto=K sets it to K times that.

            A program of your own judges with --reward command:PROGRAM. It gets one line of JSON a step, \
            {"responses": [{"id", "problem", "answer", "level", "mode", "response", "found"}, …]}, and answers with \
            one, {"results": [true, false, {"right": true, "reward": 0.3}, …]}. docs/training.md has every formula.
            """)

    @OptionGroup var arguments: RunArguments

    @Option(
        help: "Problems with answers, JSON lines (GSM8K, MATH and verl rows are read as they are).",
        completion: .file(extensions: ["jsonl", "json"]))
    var data: String

    @Option(help: "Settings of others in place of the defaults: thinkless. Flags that are given win.")
    var preset: RLOptions.Preset?

    @Flag(help: "Say what the run would take (memory, disk, tokens, time by a short trial), and write nothing.")
    var dryRun = false

    @OptionGroup(title: "Run") var schedule: RLRunArguments
    @OptionGroup(title: "Sampling") var sampling: RLSamplingArguments
    @OptionGroup(title: "Reward") var reward: RLRewardArguments
    @OptionGroup(title: "Loss") var loss: RLLossArguments
    @OptionGroup(title: "Guards") var guards: RLGuardArguments
    @OptionGroup(title: "Optimizer") var optimizer: OptimizerArguments<RLOptions>

    func validate() throws {
        guard arguments.isResuming || arguments.output != nil || dryRun else {
            throw ValidationError("give -o RUN, the folder for the run")
        }
    }

    func run() throws {
        let resumed = try arguments.resumedFolder()
        let source = try arguments.source(resumed)
        try MemoryFit.check(
            weightsOf: try ModelConfiguration(json: source.metadata.config), bytesPerParameter: 16,
            remedy:
                "training holds weights, gradients and two moments in fp32; take a smaller model or a larger machine")
        let stored = arguments.isResuming ? try RLOptions(storedIn: source) : RLOptions()
        let options = given(stored)
        if arguments.isResuming { try stored.refuse(differing: options) }
        try options.check()

        var inputs = RLInputs(
            problems: try ProblemFile.read(path: data, requiresAnswer: options.reward.needsGroundTruth),
            dataDigest: try FileDigest.sha256(path: data))
        inputs.probe = try arguments.probeProblems()
        if let path = guards.evalData {
            let problems = try ProblemFile.read(path: path, requiresAnswer: options.reward.needsGroundTruth)
            inputs.evaluation = (problems, try FileDigest.sha256(path: path))
        }
        inputs.reference = try loss.reference.map { try CheckpointFile(path: $0) }
        var trainer = try RLTrainer(source, inputs, options: options, resuming: arguments.isResuming)
        describe(trainer)
        try MemoryFit.announce(trainer.memory)
        if dryRun { return print(TrialText(trainer.trial(), steps: options.steps).text, terminator: "") }

        let folder = try resumed ?? arguments.newFolder()
        var view = TrainingView(metrics: MetricLine.reinforcement)
        let last = try Interruption.watching { interruption in
            defer { view.finish() }
            return try trainer.run(in: folder) { view.show($0, stops: interruption.isRequested) }
        }
        RunArguments.conclude(
            "train-rl", folder: folder,
            inputs: [("--data", data), ("--eval-data", guards.evalData), ("--reference", loss.reference)], last: last,
            step: trainer.state.step, of: options.steps)
    }

    /// Preset and flags over what stands without them.
    private func given(_ base: RLOptions) -> RLOptions {
        var options = base
        if let preset { options.apply(preset) }
        arguments.apply(to: &options)
        schedule.apply(to: &options)
        sampling.apply(to: &options)
        reward.apply(to: &options)
        loss.apply(to: &options)
        guards.apply(to: &options)
        optimizer.apply(to: &options)
        return options
    }

    private func describe(_ trainer: RLTrainer) {
        let (options, summary) = (trainer.options, trainer.summary)
        if let preset { Terminal.writeError(PresetText.text(preset, options)) }
        Terminal.writeError(
            "\(summary.problems) problems, \(summary.heldOutForProbe) of the data held out for the probe"
                + (summary.heldOutForEvaluation > 0 ? ", \(summary.heldOutForEvaluation) for evaluation" : "")
                + (summary.droppedOverlong > 0 ? ", \(summary.droppedOverlong) dropped as too long" : "")
                + "; \(options.steps) steps of \(options.promptsPerStep) prompts × \(options.samplesPerPrompt) samples")
        Terminal.writeError(Self.breakEven(options.rewards))
    }

    /// When a short answer pays better than a long one.
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
