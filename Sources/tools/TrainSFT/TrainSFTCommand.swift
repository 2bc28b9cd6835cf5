import ArgumentParser
import CheckpointIO
import Foundation
import TrainLoop
import Transformer

struct TrainSFTCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train-sft",
        abstract: "Warm a model up on paired long and short answers.",
        discussion: """
            Examples:
              ckpt train-sft tokens.h5 --data pairs.jsonl -o sft/ --steps 20
              ckpt train-sft tokens.h5 --config warm-up.yaml -o sft/
              ckpt train-sft --resume sft/ --data pairs.jsonl

            Both halves of a pair fall into the same update. The loss is taken on the control token, the response \
            and the end token. New control rows need help: --control-lr-scale multiplies their learning rate.

            A run folder holds step-*.h5 (each complete, with history and probe), metrics.jsonl, and can be looked \
            at with ckpt diff RUN/. At the end it is measured on held-out pairs, and said whether it is ready for \
            reinforcement learning. Ctrl-C finishes the step, saves, and says how to go on.
            """)

    @OptionGroup var arguments: RunArguments

    @Option(help: "Pairs, JSON lines: problem, think, short; Thinkless, prompt and completion, or messages rows.")
    var data: String

    @Flag(help: "Say what the run would take (memory, disk, time by a short trial), and write nothing.")
    var dryRun = false

    @OptionGroup(title: "Run") var schedule: SFTRunArguments
    @OptionGroup(title: "Data and loss") var loss: SFTLossArguments
    @OptionGroup(title: "Evaluation") var evaluation: SFTEvaluationArguments
    @OptionGroup(title: "Optimizer") var optimizer: OptimizerArguments<SFTOptions>

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
        let stored = arguments.isResuming ? try SFTOptions(storedIn: source) : SFTOptions()
        let options = given(stored)
        if arguments.isResuming { try stored.refuse(differing: options) }
        let pairs = try PairFile.read(path: data)
        let problems = try arguments.probeProblems()
        let heldOut = try evaluation.evalData.map { path in
            (pairs: try PairFile.read(path: path), digest: try FileDigest.sha256(path: path))
        }
        var trainer = try SFTTrainer(
            source, pairs: pairs, evaluation: heldOut, probe: problems, dataDigest: try FileDigest.sha256(path: data),
            options: options, resuming: arguments.isResuming)
        describe(trainer)
        try MemoryFit.announce(trainer.memory)
        if dryRun { return print(SFTTrialText(trainer.trial(), steps: trainer.totalSteps).text, terminator: "") }

        let folder = try resumed ?? arguments.newFolder()
        var view = TrainingView(metrics: { MetricLine.named(["loss", "control_loss", "tokens_per_second"], $0) })
        let last = try Interruption.watching { interruption in
            defer { view.finish() }
            return try trainer.run(in: folder) { view.show($0, stops: interruption.isRequested) }
        }
        RunArguments.conclude(
            "train-sft", folder: folder, inputs: [("--data", data), ("--eval-data", evaluation.evalData)], last: last,
            step: trainer.state.step, of: trainer.totalSteps)
    }

    private func describe(_ trainer: SFTTrainer) {
        let (options, summary) = (trainer.options, trainer.summary)
        var parts = [
            "\(Format.grouped(summary.pairs)) pairs to train on, \(summary.heldOutForProbe) held out for the probe"
        ]
        if summary.heldOutForEvaluation > 0 { parts.append("\(summary.heldOutForEvaluation) for evaluation") }
        if summary.incomplete > 0 { parts.append("\(Format.grouped(summary.incomplete)) without one half left out") }
        if summary.droppedOverlong > 0 {
            parts.append("\(Format.grouped(summary.droppedOverlong)) dropped as too long")
        }
        if summary.clippedOverlong > 0 { parts.append("\(Format.grouped(summary.clippedOverlong)) clipped") }
        let size = options.tokensPerStep.map { "up to \(Format.grouped($0)) tokens" } ?? "\(options.pairsPerStep) pairs"
        Terminal.writeError(parts.joined(separator: ", ") + "; \(trainer.totalSteps) updates of \(size)")
    }

    /// The options with the flags that were given in place.
    private func given(_ base: SFTOptions) -> SFTOptions {
        var options = base
        arguments.apply(to: &options)
        schedule.apply(to: &options)
        loss.apply(to: &options)
        evaluation.apply(to: &options)
        optimizer.apply(to: &options)
        return options
    }
}
