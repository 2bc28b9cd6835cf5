import ArgumentParser
import TrainLoop

private let standard = SFTOptions()

/// How long a warm-up is, and what it leaves.
struct SFTRunArguments: ParsableArguments {
    @Option(help: "Updates in all. Default: as many as --epochs takes.")
    var steps: Int?

    @Option(help: "Passes over the data. Default: 1.")
    var epochs: Double?

    @Option(help: "Pairs in one update; each brings both halves. Default: \(standard.pairsPerStep).")
    var batchPairs: Int?

    @Option(help: "Tokens in one update instead: pairs are taken as long as they fit.")
    var batchTokens: Int?

    @Option(help: "Updates of linear warm-up of the learning rate. Default: 5 % of the steps.")
    var warmup: Int?

    @Option(help: "Updates between saved states. Default: only the last.")
    var saveEvery: Int?

    func apply(to options: inout SFTOptions) {
        takeOptional(steps, into: &options.steps)
        take(epochs, into: &options.epochs)
        take(batchPairs, into: &options.pairsPerStep)
        takeOptional(batchTokens, into: &options.tokensPerStep)
        takeOptional(warmup, into: &options.warmupSteps)
        takeOptional(saveEvery, into: &options.saveEvery)
    }
}

/// What is trained, on what, and what the loss is.
struct SFTLossArguments: ParsableArguments {
    @Option(help: "The order of the pairs: shuffled (anew in every epoch; the default), or file.")
    var order: PairOrder?

    @Option(help: "Tokens of prompt and response together. Default: \(standard.maximumLength).")
    var maxLength: Int?

    @Option(help: "What becomes of longer samples: drop (the whole pair; the default) or clip.")
    var overlong: OverlongPolicy?

    @Option(help: "Mean over all response tokens (token; the default) or over responses (sequence).")
    var lossReduction: LossReduction?

    @Option(help: "What is trained: all (the default), or control: the rows of the control tokens alone.")
    var trainRows: TrainRows?

    @Option(
        name: .customLong("control-lr-scale"),
        help: "Factor on the learning rate of the control tokens' rows. Default: \(standard.controlLearningRateScale).")
    var controlLearningRateScale: Double?

    func apply(to options: inout SFTOptions) {
        take(order, into: &options.order)
        take(maxLength, into: &options.maximumLength)
        take(overlong, into: &options.overlong)
        take(lossReduction, into: &options.reduction)
        take(trainRows, into: &options.trainRows)
        take(controlLearningRateScale, into: &options.controlLearningRateScale)
    }
}

/// What a warm-up is measured on.
struct SFTEvaluationArguments: ParsableArguments {
    @Option(help: "Pairs to measure on, kept out of training. Default: those of the data that the probe asks.")
    var evalData: String?

    @Option(help: "Updates between measurements of the probe. Default: only at evaluations and saves.")
    var probeEvery: Int?

    @Option(help: "Updates between evaluations. Default: only at the end.")
    var evalEvery: Int?

    @Option(
        help: "Held-out problems sampled with both modes forced; 0: none. Default: \(standard.evaluationProblems).")
    var evalProblems: Int?

    @Option(help: "Tokens of such a sample at most. Default: \(standard.evaluationTokens).")
    var evalMaxNewTokens: Int?

    @Option(help: "Where its answer stands: any (box, ####, last number; the default), boxed, bare.")
    var answer: AnswerRule?

    func apply(to options: inout SFTOptions) {
        takeOptional(probeEvery, into: &options.probeEvery)
        takeOptional(evalEvery, into: &options.evaluateEvery)
        take(evalProblems, into: &options.evaluationProblems)
        take(evalMaxNewTokens, into: &options.evaluationTokens)
        take(answer, into: &options.answerRule)
    }
}

extension TrainRows: ExpressibleByArgument {}
extension PairOrder: ExpressibleByArgument {}
extension OverlongPolicy: ExpressibleByArgument {}
extension LossReduction: ExpressibleByArgument {}
