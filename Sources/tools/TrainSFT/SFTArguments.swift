import ArgumentParser
import TrainLoop

private let standard = SFTOptions()

/// The length of a warm-up, and the states it saves.
struct SFTRunArguments: OptionArguments {
    @Option(help: "Updates in total. Default: as many as --epochs takes.")
    var steps: Int?

    @Option(help: "Passes over the data. Default: 1.")
    var epochs: Double?

    @Option(help: "Pairs in one update; each contributes both halves. Default: \(standard.data.pairsPerStep).")
    var batchPairs: Int?

    @Option(help: "Tokens in one update, instead of a number of pairs: pairs are added while they fit.")
    var batchTokens: Int?

    @Option(help: "Updates of linear warm-up of the learning rate. Default: 5 % of the steps.")
    var warmup: Int?

    @Option(help: "Updates between saved states. Default: only the last is saved.")
    var saveEvery: Int?
}

/// The parameters that are trained, the data, and the loss.
struct SFTLossArguments: OptionArguments {
    @Option(help: "Order of the pairs: shuffled (again in every epoch; the default), or file.")
    var order: PairOrder?

    @Option(help: "Tokens of a prompt with its response. Default: \(standard.data.maximumLength).")
    var maxLength: Int?

    @Option(help: "Treatment of longer samples: drop (the whole pair; the default) or clip.")
    var overlong: OverlongPolicy?

    @Option(help: "Mean over all response tokens (token; the default) or over responses (sequence).")
    var lossReduction: LossReduction?

    @Option(
        help: """
            Factor on the learning rate of the control tokens' rows. \
            Default: \(standard.loss.controlLearningRateScale).
            """)
    var controlLrScale: Double?
}

/// The measurements of a warm-up.
struct SFTEvaluationArguments: OptionArguments {
    @Option(help: "Updates between measurements of the probe. Default: only at evaluations and saves.")
    var probeEvery: Int?

    @Option(help: "Updates between evaluations. Default: only at the end.")
    var evalEvery: Int?

    @Option(
        help: "Held-out problems sampled with each mode forced; 0: none. Default: \(standard.evaluation.problems).")
    var evalProblems: Int?

    @Option(help: "Tokens of such a sample at most. Default: \(standard.evaluation.maximumNewTokens).")
    var evalMaxNewTokens: Int?

    @Option(help: "Where its answer is found: any (box, ####, last number; the default), boxed, bare.")
    var answer: AnswerRule?
}

extension PairOrder: ExpressibleByArgument {}
extension OverlongPolicy: ExpressibleByArgument {}
extension LossReduction: ExpressibleByArgument {}
