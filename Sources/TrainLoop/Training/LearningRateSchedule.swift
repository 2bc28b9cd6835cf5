import Foundation

/// The learning rate over a run: linear warm-up, then constant, linear or cosine decay to a floor.
///
/// Steps count from 0 and the values are those of transformers' schedules: with warm-up, the rate at step 0 is 0.
public struct LearningRateSchedule: Sendable, Equatable {
    /// The shape after the warm-up; the raw value is the name on the command line.
    public enum Shape: String, Sendable, CaseIterable {
        case constant, linear, cosine
    }

    public var shape: Shape
    /// The rate at the end of the warm-up.
    public var peak: Double
    public var warmUpSteps: Int
    /// The step at which the decay reaches the floor.
    public var totalSteps: Int
    /// The floor as a share of the peak, 0...1.
    public var floorRatio: Double

    public init(shape: Shape, peak: Double, warmUpSteps: Int = 0, totalSteps: Int, floorRatio: Double = 0) {
        self.shape = shape
        self.peak = peak
        self.warmUpSteps = warmUpSteps
        self.totalSteps = totalSteps
        self.floorRatio = floorRatio
    }

    /// The rate of an update, counted from 0.
    public func rate(at step: Int) -> Double {
        if step < warmUpSteps { return peak * Double(step) / Double(max(1, warmUpSteps)) }
        let progress = min(1, Double(step - warmUpSteps) / Double(max(1, totalSteps - warmUpSteps)))
        let decayed: Double
        switch shape {
        case .constant: return peak
        case .linear: decayed = 1 - progress
        case .cosine: decayed = 0.5 * (1 + cos(Double.pi * progress))
        }
        return peak * (floorRatio + (1 - floorRatio) * max(0, decayed))
    }

    /// The rate of the update after `step` finished ones.
    ///
    /// The warm-up starts one step later than in `rate(at:)`, because an update at rate 0 would be wasted.
    func rateOfNextUpdate(after step: Int) -> Double { rate(at: step + (warmUpSteps > 0 ? 1 : 0)) }
}
