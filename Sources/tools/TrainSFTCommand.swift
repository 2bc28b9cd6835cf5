import ArgumentParser
import CheckpointIO
import Foundation
import OrderedJSON
import TrainLoop

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

    @Option(help: "Pairs, JSON lines: problem, think, short.")
    var data: String

    @Option(help: "Updates in all. Default: as many as --epochs takes.")
    var steps: Int?

    @Option(help: "Passes over the data.")
    var epochs = 1.0

    @Option(help: "Pairs in one update; each brings both halves.")
    var batchPairs = 16

    @Option(help: "Tokens of prompt and response together.")
    var maxLength = 2048

    @Option(help: "What becomes of longer samples: drop (the whole pair) or clip.")
    var overlong = OverlongPolicy.drop

    @Option(help: "Mean over all response tokens (token) or over responses (sequence).")
    var lossReduction = LossReduction.token

    @Option(name: .customLong("lr"), help: "Peak learning rate.")
    var learningRate = 1e-4

    @Option(name: .customLong("control-lr-scale"), help: "Factor on the learning rate of the control tokens' rows.")
    var controlLearningRateScale = 10.0

    @Option(help: "constant, linear or cosine.")
    var schedule = LearningRateSchedule.Shape.cosine

    @Option(help: "Updates of linear warm-up. Default: 5 % of the steps.")
    var warmup: Int?

    @Option(help: "Where the schedule ends, as a share of the peak.")
    var finalLrShare = 0.1

    @Option(help: "AdamW's beta 1.")
    var beta1 = 0.9

    @Option(help: "AdamW's beta 2.")
    var beta2 = 0.95

    @Option(help: "AdamW's weight decay, on matrices.")
    var weightDecay = 0.1

    @Option(help: "Updates between saved states. Default: only the last.")
    var saveEvery: Int?

    func validate() throws {
        for (name, value) in [
            ("--batch-pairs", batchPairs)
        ] {
            guard value >= 1 else { throw ValidationError("\(name) must be at least 1") }
        }
        guard maxLength >= 8 else { throw ValidationError("--max-length must be at least 8") }
        guard steps ?? 1 >= 1, saveEvery ?? 1 >= 1 else {
            throw ValidationError("--steps and --save-every must be at least 1")
        }
        guard learningRate > 0, epochs > 0 else { throw ValidationError("--lr and --epochs must be above 0") }
    }

    func run() throws {
        let source = try arguments.source()
        let pairs = try PairFile.read(path: data)
        let problems = try arguments.probeProblems()
        let options = try !arguments.isResuming ? options : SFTOptions(storedIn: source)
        var trainer = try SFTTrainer(
            source, pairs: pairs, probe: problems, dataDigest: try FileDigest.sha256(path: data), options: options,
            resuming: arguments.isResuming)
        let folder = try arguments.folder()

        let summary = trainer.summary
        Terminal.writeError(
            "\(summary.pairs) pairs to train on, \(summary.heldOutForProbe) held out for the probe"
                + (summary.droppedOverlong > 0 ? ", \(summary.droppedOverlong) dropped as too long" : "")
                + "; \(trainer.totalSteps) updates of \(options.pairsPerStep) pairs")
        var view = TrainingView(shown: ["loss", "control_loss", "tokens_per_second"])
        let last = try Interruption.watching { interruption in
            try trainer.run(in: folder) { view.show($0, stops: interruption.isRequested) }
        }
        view.finish()
        RunArguments.conclude(
            "train-sft", folder: folder, data: data, last: last, step: trainer.state.step, of: trainer.totalSteps)
    }

    private var options: SFTOptions {
        var options = SFTOptions()
        options.steps = steps
        options.epochs = epochs
        options.pairsPerStep = batchPairs
        options.microBatchTokens = arguments.microBatchTokens
        options.maximumLength = maxLength
        options.overlong = overlong
        options.reduction = lossReduction
        options.learningRate = learningRate
        options.controlLearningRateScale = controlLearningRateScale
        options.schedule = schedule
        options.finalLearningRateShare = finalLrShare
        options.warmupSteps = warmup
        options.beta1 = beta1
        options.beta2 = beta2
        options.weightDecay = weightDecay
        options.clipNorm = arguments.clipNorm
        options.freeze = arguments.freeze
        options.seed = arguments.seed
        options.saveEvery = saveEvery
        options.keepLast = arguments.keepLast
        return options
    }
}

extension OverlongPolicy: ExpressibleByArgument {}
extension LossReduction: ExpressibleByArgument {}
extension LearningRateSchedule.Shape: ExpressibleByArgument {}
