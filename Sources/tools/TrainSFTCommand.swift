import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop

private let standard = SFTOptions()

struct TrainSFTCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train-sft",
        abstract: "Warm a model up on paired long and short answers.",
        discussion: """
            Example:
              ckpt train-sft tokens.h5 --data pairs.jsonl -o sft/ --steps 20

            Both halves of a pair fall into the same update. The loss is taken on the control token, the response \
            and the end token. New control rows need help: --control-lr-scale multiplies their learning rate.

            A run folder holds step-*.h5 (each complete, with history and probe), metrics.jsonl, and can be looked \
            at with ckpt diff RUN/. Ctrl-C finishes the step, saves, and says how to go on.
            """)

    @OptionGroup var arguments: RunArguments

    @Option(help: "Pairs, JSON lines: problem, think, short.", completion: .file(extensions: ["jsonl", "json"]))
    var data: String

    @Option(help: "Updates in all. Default: as many as --epochs takes.")
    var steps: Int?

    @Option(help: "Passes over the data. Default: 1.")
    var epochs: Double?

    @Option(help: "Pairs in one update; each brings both halves. Default: \(standard.pairsPerStep).")
    var batchPairs: Int?

    @Option(help: "Tokens of prompt and response together. Default: \(standard.maximumLength).")
    var maxLength: Int?

    @Option(help: "What becomes of longer samples: drop (the whole pair; the default) or clip.")
    var overlong: OverlongPolicy?

    @Option(help: "Mean over all response tokens (token; the default) or over responses (sequence).")
    var lossReduction: LossReduction?

    @Option(name: .customLong("lr"), help: "Peak learning rate. Default: \(standard.learningRate).")
    var learningRate: Double?

    @Option(
        name: .customLong("control-lr-scale"),
        help: "Factor on the learning rate of the control tokens' rows. Default: \(standard.controlLearningRateScale).")
    var controlLearningRateScale: Double?

    @Option(help: "constant, linear or cosine. Default: \(standard.schedule.rawValue).")
    var schedule: LearningRateSchedule.Shape?

    @Option(help: "Updates of linear warm-up. Default: 5 % of the steps.")
    var warmup: Int?

    @Option(help: "Where the schedule ends, as a share of the peak. Default: \(standard.finalLearningRateShare).")
    var finalLrShare: Double?

    @Option(help: "AdamW's beta 1. Default: \(standard.beta1).")
    var beta1: Double?

    @Option(help: "AdamW's beta 2. Default: \(standard.beta2).")
    var beta2: Double?

    @Option(help: "AdamW's weight decay, on matrices. Default: \(standard.weightDecay).")
    var weightDecay: Double?

    @Option(help: "Updates between saved states. Default: only the last.")
    var saveEvery: Int?

    func run() throws {
        let source = try arguments.source()
        let stored = arguments.isResuming ? try SFTOptions(storedIn: source) : SFTOptions()
        let options = given(stored)
        if arguments.isResuming { try stored.refuse(differing: options) }
        let pairs = try PairFile.read(path: data)
        let problems = try arguments.probeProblems()
        var trainer = try SFTTrainer(
            source, pairs: pairs, probe: problems, dataDigest: try FileDigest.sha256(path: data), options: options,
            resuming: arguments.isResuming)
        let folder = try arguments.folder()

        let summary = trainer.summary
        Terminal.writeError(
            "\(summary.pairs) pairs to train on, \(summary.heldOutForProbe) held out for the probe"
                + (summary.droppedOverlong > 0 ? ", \(summary.droppedOverlong) dropped as too long" : "")
                + "; \(trainer.totalSteps) updates of \(options.pairsPerStep) pairs")
        var view = TrainingView(metrics: { MetricLine.named(["loss", "control_loss", "tokens_per_second"], $0) })
        let last = try Interruption.watching { interruption in
            try trainer.run(in: folder) { view.show($0, stops: interruption.isRequested) }
        }
        view.finish()
        RunArguments.conclude(
            "train-sft", folder: folder, inputs: [("--data", data)], last: last, step: trainer.state.step,
            of: trainer.totalSteps)
    }

    /// The options with the flags that were given in place.
    private func given(_ base: SFTOptions) -> SFTOptions {
        var options = base
        takeOptional(steps, into: &options.steps)
        take(epochs, into: &options.epochs)
        take(batchPairs, into: &options.pairsPerStep)
        take(arguments.microBatchTokens, into: &options.microBatchTokens)
        take(maxLength, into: &options.maximumLength)
        take(overlong, into: &options.overlong)
        take(lossReduction, into: &options.reduction)
        take(learningRate, into: &options.learningRate)
        take(controlLearningRateScale, into: &options.controlLearningRateScale)
        take(schedule, into: &options.schedule)
        take(finalLrShare, into: &options.finalLearningRateShare)
        takeOptional(warmup, into: &options.warmupSteps)
        take(beta1, into: &options.beta1)
        take(beta2, into: &options.beta2)
        take(weightDecay, into: &options.weightDecay)
        take(arguments.clipNorm, into: &options.clipNorm)
        if !arguments.freeze.isEmpty { options.freeze = arguments.freeze }
        take(arguments.seed, into: &options.seed)
        takeOptional(saveEvery, into: &options.saveEvery)
        take(arguments.keepLast, into: &options.keepLast)
        return options
    }
}

extension OverlongPolicy: ExpressibleByArgument {}
extension LossReduction: ExpressibleByArgument {}
extension LearningRateSchedule.Shape: ExpressibleByArgument {}
