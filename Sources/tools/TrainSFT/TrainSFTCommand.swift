import ArgumentParser
import CheckpointIO
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
              ckpt train-sft --resume sft/ --data pairs.jsonl --steps 25

            Both halves of a pair are in the same update. The loss covers the control token, the response and the \
            end token. New control rows learn too slowly at the model's learning rate: --control-lr-scale multiplies \
            theirs.

            A run's folder holds step-*.h5 (each a complete state with history and probe) and metrics.jsonl; \
            ckpt diff RUN/ shows the run. At the end the model is measured on held-out pairs, and the command reports \
            whether it is ready for reinforcement learning. Ctrl-C finishes the step, saves, and prints how to resume.
            """)

    @OptionGroup var arguments: RunArguments
    @OptionGroup var shared: SharedArguments

    @Option(help: "Pairs: problem, think, short; Thinkless, prompt and completion, or messages rows (docs/data.md).")
    var data: String

    @OptionGroup var reading: DataArguments
    @OptionGroup var lengths: LengthArguments

    @Flag(help: "Report what the run would take (memory, disk, and time by a short trial), and write nothing.")
    var dryRun = false

    @OptionGroup var forecast: ForecastArguments

    @Option(help: "Pairs to measure on, kept out of training. Default: the pairs of the data that are in the probe.")
    var evalData: String?

    @OptionGroup(title: "Run") var schedule: SFTRunArguments
    @OptionGroup(title: "Data and loss") var loss: SFTLossArguments
    @OptionGroup(title: "Evaluation") var evaluation: SFTEvaluationArguments
    @OptionGroup(title: "Optimizer") var optimizer: OptimizerArguments<SFTOptions>

    func validate() throws {
        guard arguments.isResuming || arguments.output != nil || dryRun else {
            throw ValidationError("give -o RUN, the folder for the run")
        }
        try forecast.check(dryRun: dryRun)
    }

    func run() throws {
        let ranks = try RankProcess.start()
        let resumed = try arguments.resumedFolder(ranks)
        var read: SFTInputs?
        var trainer = try arguments.trainer(resumed) { source in
            let options = try arguments.options(of: source, changedBy: apply)
            if let length = loss.maxLength, !arguments.isResuming, !lengths.allowLong {
                try LengthLimit(try ModelConfiguration(json: source.metadata.config))
                    .check(length: length, flag: "--max-length")
            }
            let inputs = try read ?? self.inputs()
            read = inputs
            return try SFTTrainer(
                source, inputs, options: options, resuming: arguments.isResuming, ranks: ranks,
                checkMemory: MemoryFit.checkTraining)
        }
        describe(trainer)
        try MemoryFit.announce(trainer.memory)
        if dryRun {
            let trial = trainer.trial()
            let text = forecast.text(trial.step, shardsMoments: trainer.options.optimizer.shardsMoments)
            return print(SFTTrialText.text(trial, steps: trainer.totalSteps, forecast: text), terminator: "")
        }
        try arguments.train(
            &trainer, in: resumed, inputs: [("--data", data), ("--eval-data", evalData), ("--map", reading.map?.text)],
            columns: .warmUp(totalSteps: trainer.totalSteps), ranks: ranks)
    }

    private func inputs() throws -> SFTInputs {
        var inputs = SFTInputs(
            pairs: try PairFile.read(path: data, map: reading.map), dataDigest: try DataFile.sha256(path: data))
        inputs.allowsLong = lengths.allowLong
        inputs.probe = try arguments.probeProblems()
        if let path = evalData {
            inputs.evaluation = (try PairFile.read(path: path, map: reading.map), try DataFile.sha256(path: path))
        }
        return inputs
    }

    /// Applies the flags that were given.
    private func apply(to options: inout SFTOptions) {
        shared.apply(to: &options)
        schedule.apply(to: &options)
        loss.apply(to: &options)
        evaluation.apply(to: &options)
        optimizer.apply(to: &options)
    }

    private func describe(_ trainer: SFTTrainer) {
        let (options, summary) = (trainer.options.data, trainer.summary)
        var parts = [
            "\(Format.counted(summary.pairs, "pair")) to train on, \(summary.heldOutForProbe) held out for the probe"
        ]
        if summary.heldOutForEvaluation > 0 { parts.append("\(summary.heldOutForEvaluation) for evaluation") }
        if summary.incomplete > 0 { parts.append("\(Format.grouped(summary.incomplete)) without one half left out") }
        if summary.droppedOverlong > 0 {
            parts.append("\(Format.grouped(summary.droppedOverlong)) dropped as too long")
        }
        if summary.clippedOverlong > 0 { parts.append("\(Format.grouped(summary.clippedOverlong)) clipped") }
        let size =
            options.tokensPerStep.map { "up to \(Format.counted($0, "token"))" }
            ?? Format.counted(options.pairsPerStep, "pair")
        Terminal.writeError(
            parts.joined(separator: ", ") + "; \(Format.counted(trainer.totalSteps, "update")) of \(size)")
        guard summary.beyondPositions > 0 else { return }
        let longer = summary.beyondPositions == 1 ? "1 pair is" : "\(Format.grouped(summary.beyondPositions)) pairs are"
        Terminal.warn(
            "\(longer) longer than the model's \(Format.grouped(summary.positions)) positions "
                + "(max_position_embeddings) and "
                + (options.positions == nil
                    ? "trained on all the same"
                    : (options.overlong == .clip ? "clipped" : "left out") + "; to train on them, "
                        + LengthError.otherRemedies))
    }
}
