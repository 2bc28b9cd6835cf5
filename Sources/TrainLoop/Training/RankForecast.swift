import Foundation

/// The predicted time of a step on several machines, by a model of cost whose terms were measured here
/// (docs/scaling.md).
package struct RankForecast: Sendable {
    /// What a step takes on one machine, in seconds but for bytes.
    package struct Step: Sendable {
        /// Sampling, which ranks share by prompt.
        package var sampling = 0.0
        /// The longest answer alone, which no rank can share.
        package var longestAnswer = 0.0
        /// Forward and backward passes, which ranks share by slice.
        package var passes = 0.0
        /// Updates of the optimizer.
        package var optimizer = 0.0
        /// Gradient sums in a step, one for each update and kind of gradient.
        package var sums = 1.0
        package var gradientBytes = 0
        /// The time to add one gradient to another.
        package var adding = 0.0
    }

    package let ranks: Int
    /// In bits a second, in each direction.
    package let bandwidth: Double
    package let sampling: Double
    package let passes: Double
    /// Bytes that a rank sends and receives in a step.
    package let bytes: Double
    /// The time to transfer and add gradients.
    package let exchange: Double
    package let optimizer: Double
    package var seconds: Double { sampling + passes + exchange + optimizer }

    /// The time of an exchange without bytes.
    private static let latency = 50e-6

    package init(_ step: Step, ranks: Int, bandwidth: Double, shardsMoments: Bool) {
        self.ranks = ranks
        self.bandwidth = bandwidth
        let share = 1 / Double(ranks)
        sampling = max(step.sampling * share, step.longestAnswer)
        passes = step.passes * share
        // Each half of the sum moves all but a rank's own share, once in each direction.
        bytes = 2 * (1 - share) * Double(step.gradientBytes) * step.sums
        let rounds = 2 * log2(Double(ranks)) * step.sums
        exchange = bytes * 8 / bandwidth + rounds * Self.latency + step.adding * (1 - share) * step.sums
        optimizer = step.optimizer * (shardsMoments ? share : 1)
    }
}
