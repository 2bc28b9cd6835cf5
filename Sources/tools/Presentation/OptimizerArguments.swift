import ArgumentParser
import TrainLoop

/// AdamW and its learning rate, with the defaults of a stage.
struct OptimizerArguments<Stage: TrainingOptions>: OptionArguments {
    private static var standard: OptimizerOptions { Stage().optimizer }

    @Option(help: "Peak learning rate. Default: \(standard.learningRate).")
    var lr: Double?

    @Option(help: "Shape of the schedule after the warm-up. Default: \(standard.schedule.rawValue).")
    var schedule: LearningRateSchedule.Shape?

    @Option(help: "Step at which the schedule ends. Default: the last one; a resumed run may move it with --steps.")
    var scheduleSteps: Int?

    @Option(
        help: """
            Learning rate at the end of the schedule, as a share of the peak. \
            Default: \(standard.finalLearningRateShare).
            """)
    var finalLrShare: Double?

    @Option(help: "AdamW's beta 1. Default: \(standard.beta1).")
    var beta1: Double?

    @Option(help: "AdamW's beta 2. Default: \(standard.beta2).")
    var beta2: Double?

    @Option(help: "AdamW's weight decay, applied to matrices. Default: \(standard.weightDecay).")
    var weightDecay: Double?
}

extension LearningRateSchedule.Shape: ExpressibleByArgument {}
