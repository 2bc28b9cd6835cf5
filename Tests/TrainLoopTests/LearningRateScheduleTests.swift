import Testing
import TrainLoop

@Suite struct LearningRateScheduleTests {
    /// transformers' cosine schedule, warm-up 10 of 100.
    @Test func cosineOfTheReference() {
        let schedule = LearningRateSchedule(shape: .cosine, peak: 1, warmUpSteps: 10, totalSteps: 100)
        let expected = [(0, 0), (1, 0.1), (9, 0.9), (10, 1), (55, 0.5), (99, 0.00030459), (100, 0)]
        for (step, rate) in expected { #expect(abs(schedule.rate(at: step) - rate) < 5e-9) }
    }

    @Test func otherShapes() {
        let linear = LearningRateSchedule(shape: .linear, peak: 2, warmUpSteps: 2, totalSteps: 12, floorRatio: 0.1)
        #expect(linear.rate(at: 1) == 1 && linear.rate(at: 2) == 2)
        #expect(abs(linear.rate(at: 7) - 1.1) < 1e-12)
        #expect(abs(linear.rate(at: 12) - 0.2) < 1e-12 && linear.rate(at: 500) == linear.rate(at: 12))
        let constant = LearningRateSchedule(shape: .constant, peak: 3, totalSteps: 0)
        #expect(constant.rate(at: 0) == 3 && constant.rate(at: 99) == 3)
        // A run that is all warm-up, and one of no steps, must not divide by zero.
        let short = LearningRateSchedule(shape: .cosine, peak: 1, warmUpSteps: 5, totalSteps: 5)
        #expect(short.rate(at: 5).isFinite && short.rate(at: 6).isFinite)
    }
}
