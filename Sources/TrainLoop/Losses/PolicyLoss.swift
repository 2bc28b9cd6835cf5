import Foundation

/// A policy-gradient loss and its constants; docs/training.md describes it for users.
///
/// For the N samples i of a mini-batch, with tokens t = 0...T_i, where token 0 is the control token whatever was
/// sampled there, A_i the advantage, ρ the ratio of new to old probability of a token, and H its entropy:
///
///     loss    = −Σ_i Σ_t w_it L_it + β Σ_i Σ_t v_it KL_it − c Σ_i Σ_t u_it H_it
///     L_it    = min(ρ_it A_i, clip(ρ_it, 1−ε_low, 1+ε_high) A_i)
///
/// The kinds of loss differ only in the weights, which `PolicyBatch` fixes for a whole mini-batch at once:
///
///     kind             w, control token          w, response token          u, and v under KLReduction.mean
///     degrpo           α / N                     1 / (T_i N)                1 / ((T_i+1) N)
///     degrpo-released  α / control tokens        1 / response tokens        1 / all tokens
///     grpo             1 / ((T_i+1) N)           1 / ((T_i+1) N)            1 / ((T_i+1) N)
///     grpo-token-mean  1 / all tokens            1 / all tokens             1 / all tokens
///     dr-grpo          1 / (maximumNewTokens N)  1 / (maximumNewTokens N)   1 / (maximumNewTokens N)
///
/// Token counts are those of the mini-batch. `degrpo` is equation 4 of Thinkless (arXiv 2505.13379), `grpo` its
/// equation 1.
public struct PolicyLoss: Sendable, Equatable {
    /// How a token's weight depends on the mini-batch; the raw value is the name on the command line.
    public enum Kind: String, Sendable, CaseIterable {
        /// Thinkless, equation 4: α on the control token, 1/T_i on the response, mean over samples.
        case degrpo
        /// The authors' code, over the whole mini-batch: α · mean over control tokens + mean over response tokens.
        case degrpoReleased = "degrpo-released"
        /// Thinkless, equation 1: 1/(T_i+1) on every token, mean over samples.
        case grpo
        /// Mean over all tokens of the mini-batch.
        case grpoTokenMean = "grpo-token-mean"
        /// 1/`maximumNewTokens` on every token, mean over samples.
        case drGRPO = "dr-grpo"

        /// Whether the control token has a weight of its own, α.
        var weighsControlToken: Bool { self == .degrpo || self == .degrpoReleased }
    }

    /// The weight of the control token in the two DeGRPO losses.
    public enum ControlWeight: Sendable, Equatable {
        /// α, the same for every sample.
        case constant(Double)
        /// K/(T_i+1), which depends on the response's length as under plain GRPO; for ablations.
        case inverseLength(Double)

        /// The weight for a response of `tokenCount` = T_i+1 tokens.
        public func value(tokenCount: Int) -> Double {
            switch self {
            case .constant(let alpha): alpha
            case .inverseLength(let scale): scale / Double(max(1, tokenCount))
            }
        }
    }

    /// An estimator of KL(new ‖ reference) from one sampled token, with d = reference − new log-probability.
    public enum KLEstimator: String, Sendable, CaseIterable {
        /// −d
        case k1
        /// d²/2
        case k2
        /// exp(d) − d − 1
        case k3
    }

    /// How the KL estimates of a response's tokens are combined.
    public enum KLReduction: String, Sendable, CaseIterable {
        /// Averaged with the weights that the kind of loss gives to the entropy.
        case mean
        /// Summed over a response and averaged over samples, for every kind: equation 4 read literally.
        case sum
    }

    public var kind: Kind
    public var controlWeight: ControlWeight
    /// The ratio is clipped to [1 − ε_low, 1 + ε_high].
    public var epsilonLow: Double
    public var epsilonHigh: Double
    /// The weight β of the KL term; with 0 no reference log-probabilities are needed.
    public var klCoefficient: Double
    public var klEstimator: KLEstimator
    public var klReduction: KLReduction
    /// Clamps a token's KL estimate to ±this value, where its gradient is 0 (the authors' code: 10).
    public var klLimit: Double?
    /// The weight c of the entropy bonus.
    public var entropyCoefficient: Double
    /// The divisor of `drGRPO`: the length of the longest response that could have been sampled.
    public var maximumNewTokens: Int

    public init(
        kind: Kind = .degrpo, controlWeight: ControlWeight = .constant(1e-3), epsilonLow: Double = 0.2,
        epsilonHigh: Double = 0.2, klCoefficient: Double = 0, klEstimator: KLEstimator = .k3,
        klReduction: KLReduction = .mean, klLimit: Double? = nil, entropyCoefficient: Double = 0,
        maximumNewTokens: Int = 1024
    ) {
        self.kind = kind
        self.controlWeight = controlWeight
        self.epsilonLow = epsilonLow
        self.epsilonHigh = epsilonHigh
        self.klCoefficient = klCoefficient
        self.klEstimator = klEstimator
        self.klReduction = klReduction
        self.klLimit = klLimit
        self.entropyCoefficient = entropyCoefficient
        self.maximumNewTokens = maximumNewTokens
    }

    /// The KL estimate of one token, and its derivative with respect to the new log-probability.
    func klEstimate(new: Double, reference: Double) -> (value: Double, derivative: Double) {
        let difference = reference - new
        let value: Double
        let derivative: Double
        switch klEstimator {
        case .k1: (value, derivative) = (-difference, 1)
        case .k2: (value, derivative) = (difference * difference / 2, -difference)
        case .k3:
            let ratio = exp(difference)
            (value, derivative) = (ratio - difference - 1, 1 - ratio)
        }
        if let klLimit, abs(value) > klLimit { return (value < 0 ? -klLimit : klLimit, 0) }
        return (value, derivative)
    }
}
