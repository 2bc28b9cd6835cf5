/// Which policy-gradient loss, and its constants.
///
/// The loss is minus the objective of DESIGN.md section 8. For the samples i of a mini-batch with tokens t = 0...T_i,
/// where token 0 is the control token whatever was sampled there, and L = min(ρA, clip(ρ, 1−ε_low, 1+ε_high)A):
///
///     loss = −Σ_i Σ_t w_{i,t} L_{i,t} + β Σ_i Σ_t v_{i,t} KL_{i,t} − c Σ_i Σ_t u_{i,t} H_{i,t}
///
/// The kinds differ in the weights w, v and u alone, which `PolicyBatch` fixes for a whole mini-batch at once.
public struct PolicyLoss: Sendable, Equatable {
    /// How a token's weight depends on the batch. The raw value is the name on the command line.
    public enum Kind: String, Sendable, CaseIterable {
        /// Thinkless, equation 4: α on the control token, 1/T_i on the response, mean over samples.
        case degrpo
        /// The authors' code, over the whole mini-batch: α · mean over control tokens + mean over response tokens.
        case degrpoReleased = "degrpo-released"
        /// Equation 1: 1/(T_i+1) on every token, mean over samples.
        case grpo
        /// Mean over all tokens of the mini-batch.
        case grpoTokenMean = "grpo-token-mean"
        /// 1/`maximumNewTokens` on every token, mean over samples.
        case drGRPO = "dr-grpo"
    }

    /// The weight of the control token in the two DeGRPO losses.
    public enum ControlWeight: Sendable, Equatable {
        /// α, the same for every sample.
        case constant(Double)
        /// K/(T_i+1): as large as α on average but still coupled to the length, for ablations.
        case inverseLength(Double)

        /// The weight of the control token of a response with `tokenCount` = T_i+1 tokens.
        public func value(tokenCount: Int) -> Double {
            switch self {
            case .constant(let alpha): alpha
            case .inverseLength(let scale): scale / Double(max(1, tokenCount))
            }
        }
    }

    /// An estimator of KL(new ‖ reference) from one sampled token; d = ref − new log-probability.
    public enum KLEstimator: String, Sendable, CaseIterable {
        /// −d
        case k1
        /// d²/2
        case k2
        /// exp(d) − d − 1
        case k3
    }

    /// How the estimates of one sample are added up.
    public enum KLReduction: String, Sendable, CaseIterable {
        /// As the kind of loss averages: over a sample's tokens, over all tokens, or by `maximumNewTokens`.
        case mean
        /// Summed over a sample's tokens, mean over samples, whatever the kind: equation 4 read literally.
        case sum
    }

    public var kind: Kind
    public var controlWeight: ControlWeight
    /// The ratio is clipped to 1 − `epsilonLow` ... 1 + `epsilonHigh`.
    public var epsilonLow: Double
    public var epsilonHigh: Double
    /// β. With 0 no reference log-probabilities are needed.
    public var klCoefficient: Double
    public var klEstimator: KLEstimator
    public var klReduction: KLReduction
    /// An estimate beyond ±this counts as this and has no gradient (the released code: 10).
    public var klLimit: Double?
    /// c, the weight of the entropy bonus; averaged over tokens as the KL is under `KLReduction.mean`.
    public var entropyCoefficient: Double
    /// The divisor of `drGRPO`: the longest response that could have been sampled.
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

    /// True where samples are averaged with equal weight, false where all tokens of the mini-batch are.
    var averagesSamples: Bool {
        switch kind {
        case .degrpo, .grpo, .drGRPO: true
        case .degrpoReleased, .grpoTokenMean: false
        }
    }
}

extension PolicyLoss {
    /// The KL estimate of one token and its derivative by the new log-probability.
    func klEstimate(new: Double, reference: Double) -> (value: Double, derivative: Double) {
        let difference = reference - new
        let value: Double
        let derivative: Double
        switch klEstimator {
        case .k1: (value, derivative) = (-difference, 1)
        case .k2: (value, derivative) = (difference * difference / 2, -difference)
        case .k3:
            let ratio = exponential(difference)
            (value, derivative) = (ratio - difference - 1, 1 - ratio)
        }
        if let klLimit, abs(value) > klLimit { return (value < 0 ? -klLimit : klLimit, 0) }
        return (value, derivative)
    }
}
