import ArgumentParser
import TrainLoop

/// AdamW and its learning rate, with the defaults of a stage.
struct OptimizerArguments<Stage: TrainingOptions>: ParsableArguments {
    @Option(name: .customLong("lr"), help: "Peak learning rate. Default: \(Stage().learningRate).")
    var learningRate: Double?

    @Option(help: "Shape behind the warm-up. Default: \(Stage().schedule.rawValue).")
    var schedule: LearningRateSchedule.Shape?

    @Option(help: "Where the schedule ends, as a share of the peak. Default: \(Stage().finalLearningRateShare).")
    var finalLrShare: Double?

    @Option(help: "AdamW's beta 1. Default: \(Stage().beta1).")
    var beta1: Double?

    @Option(help: "AdamW's beta 2. Default: \(Stage().beta2).")
    var beta2: Double?

    @Option(help: "AdamW's weight decay, on matrices. Default: \(Stage().weightDecay).")
    var weightDecay: Double?

    func apply(to options: inout Stage) {
        take(learningRate, into: &options.learningRate)
        take(schedule, into: &options.schedule)
        take(finalLrShare, into: &options.finalLearningRateShare)
        take(beta1, into: &options.beta1)
        take(beta2, into: &options.beta2)
        take(weightDecay, into: &options.weightDecay)
    }
}

extension LearningRateSchedule.Shape: ExpressibleByArgument {}
