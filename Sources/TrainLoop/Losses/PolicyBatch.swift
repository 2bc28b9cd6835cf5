import Foundation

/// An error in the samples of a mini-batch.
public enum PolicyBatchError: Error, Equatable, CustomStringConvertible {
    case emptyResponse(sample: Int)
    case lengthMismatch(sample: Int, what: String, expected: Int, found: Int)
    case missingReference(sample: Int)
    case notFinite(sample: Int, what: String)

    public var description: String {
        switch self {
        case .emptyResponse(let sample): "sample \(sample) has no tokens; a response has at least one"
        case .lengthMismatch(let sample, let what, let expected, let found):
            "sample \(sample) has \(found) \(what) for \(expected) \(expected == 1 ? "token" : "tokens")"
        case .missingReference(let sample):
            "sample \(sample) has no reference log-probabilities, which a KL coefficient other than 0 needs"
        case .notFinite(let sample, let what): "sample \(sample): its \(what) is not finite"
        }
    }
}

/// One mini-batch as the loss sees it: everything about its samples that is constant while the gradient is computed.
///
/// All weights are computed here from the whole mini-batch. The model may then be run over any division into
/// micro-batches, in any order: the term of a token depends only on its own log-probability and entropy, and the loss
/// is the sum of the terms.
public struct PolicyBatch: Sendable {
    /// How the control token of a response was chosen.
    public enum ControlSampling: Sendable, Equatable {
        /// It was sampled from the old policy, like every other token.
        case free
        /// It was drawn from a mixture of forced and free samples that gave it this log-probability.
        ///
        /// The ratio to the mixture is an importance weight. It is capped at `cap` instead of clipped, and the gradient
        /// does not vanish at the cap.
        case balanced(logProbability: Double, cap: Double)
        /// It was forced and is left out of the loss, including the KL and entropy terms.
        case excluded
    }

    /// One response.
    public struct Sample: Sendable {
        /// T_i + 1: the control token and all tokens sampled after it, including the stop token.
        public var tokenCount: Int
        public var advantage: Double
        /// Removes the response from the loss; it still counts as a sample of the mini-batch.
        public var isMasked: Bool
        /// Log-probabilities of the policy that sampled, `[tokenCount]`; nil if it is the policy being trained.
        public var oldLogProbabilities: [Double]?
        /// Log-probabilities of the reference policy, `[tokenCount]`; required if the KL coefficient is not 0.
        public var referenceLogProbabilities: [Double]?
        public var controlSampling: ControlSampling
        /// Importance weights that correct for another sampler than the old policy, `[tokenCount]`; nil for 1.
        ///
        /// They multiply the policy-gradient part of the loss, not KL and entropy.
        public var samplerWeights: [Double]?

        public init(
            tokenCount: Int, advantage: Double, isMasked: Bool = false, oldLogProbabilities: [Double]? = nil,
            referenceLogProbabilities: [Double]? = nil, controlSampling: ControlSampling = .free,
            samplerWeights: [Double]? = nil
        ) {
            self.tokenCount = tokenCount
            self.advantage = advantage
            self.isMasked = isMasked
            self.oldLogProbabilities = oldLogProbabilities
            self.referenceLogProbabilities = referenceLogProbabilities
            self.controlSampling = controlSampling
            self.samplerWeights = samplerWeights
        }
    }

    public let loss: PolicyLoss
    public let samples: [Sample]
    /// Tokens in the loss: those of all samples that are not masked, without excluded control tokens.
    public let tokenCount: Int
    /// The control tokens among `tokenCount`.
    public let controlTokenCount: Int

    /// Checks the samples and counts their tokens.
    ///
    /// - Throws: `PolicyBatchError` naming the sample.
    public init(loss: PolicyLoss, samples: [Sample]) throws {
        var tokenCount = 0
        var controlTokenCount = 0
        for (index, sample) in samples.enumerated() {
            guard sample.tokenCount > 0 else { throw PolicyBatchError.emptyResponse(sample: index) }
            guard sample.advantage.isFinite else {
                throw PolicyBatchError.notFinite(sample: index, what: "advantage")
            }
            if sample.isMasked { continue }
            for (values, what) in [
                (sample.oldLogProbabilities, "old log-probabilities"),
                (sample.referenceLogProbabilities, "reference log-probabilities"),
                (sample.samplerWeights, "sampler weights"),
            ] {
                guard let values else { continue }
                guard values.count == sample.tokenCount else {
                    throw PolicyBatchError.lengthMismatch(
                        sample: index, what: what, expected: sample.tokenCount, found: values.count)
                }
            }
            guard sample.samplerWeights?.allSatisfy(\.isFinite) ?? true else {
                throw PolicyBatchError.notFinite(sample: index, what: "sampler weight")
            }
            if loss.klCoefficient != 0, sample.referenceLogProbabilities == nil {
                throw PolicyBatchError.missingReference(sample: index)
            }
            let hasControl = sample.controlSampling != .excluded
            tokenCount += sample.tokenCount - (hasControl ? 0 : 1)
            controlTokenCount += hasControl ? 1 : 0
        }
        self.loss = loss
        self.samples = samples
        self.tokenCount = tokenCount
        self.controlTokenCount = controlTokenCount
    }

    /// Whether a sample affects the loss or its gradient; one that does not need not be run.
    public func contributes(_ sample: Int) -> Bool {
        !samples[sample].isMasked
            && (samples[sample].advantage != 0 || loss.klCoefficient != 0 || loss.entropyCoefficient != 0)
    }

    /// The policy-gradient weight w of a token.
    public func weight(sample: Int, token: Int) -> Double {
        let length = Double(samples[sample].tokenCount)
        let sampleCount = Double(samples.count)
        let alpha = loss.controlWeight.value(tokenCount: samples[sample].tokenCount)
        switch loss.kind {
        case .degrpo: return (token == 0 ? alpha : 1 / (length - 1)) / sampleCount
        case .degrpoReleased:
            return token == 0 ? alpha / Double(controlTokenCount) : 1 / Double(tokenCount - controlTokenCount)
        case .grpo: return 1 / (length * sampleCount)
        case .grpoTokenMean: return 1 / Double(tokenCount)
        case .drGRPO: return 1 / (Double(loss.maximumNewTokens) * sampleCount)
        }
    }

    /// The weight u of a token's entropy, which is also the weight v of its KL estimate under `KLReduction.mean`.
    public func regularizerWeight(sample: Int) -> Double {
        switch loss.kind {
        case .degrpo, .grpo: 1 / (Double(samples[sample].tokenCount) * Double(samples.count))
        case .degrpoReleased, .grpoTokenMean: 1 / Double(tokenCount)
        case .drGRPO: 1 / (Double(loss.maximumNewTokens) * Double(samples.count))
        }
    }

    /// The mean weight of the control token relative to its weight under `grpo`, which is α(T_i+1) for `degrpo`.
    ///
    /// A value under 1 means that decoupling weakens the choice of mode instead of strengthening it.
    public var relativeControlWeight: Double {
        let counted = samples.indices.filter { !samples[$0].isMasked && samples[$0].controlSampling != .excluded }
        guard !counted.isEmpty else { return 0 }
        let sum = counted.reduce(0.0) { sum, index in
            sum + weight(sample: index, token: 0) * Double(samples[index].tokenCount) * Double(samples.count)
        }
        return sum / Double(counted.count)
    }

    /// The share of the batch's tokens whose ratio is clipped, 0 if there are none; metric `pg_clipfrac`, as in verl.
    ///
    /// Tokens of samples that do not contribute are counted, and need not be among the totals: a ratio without
    /// advantage is not clipped.
    public func clippedFraction(_ totals: PolicyTotals) -> Double {
        tokenCount == 0 ? 0 : Double(totals.clippedTokenCount) / Double(tokenCount)
    }

    /// The contribution of one token to the loss, and its derivatives.
    ///
    /// - Parameters:
    ///   - index: the index of the sample in `samples`.
    ///   - token: 0 for the control token, at most `tokenCount - 1`.
    ///   - logProbability: the token's log-probability under the policy being trained, from logits / temperature.
    ///   - entropy: the entropy of the distribution that the token was sampled from, in nats.
    /// - Returns: the term, 0 for tokens outside the loss.
    public func term(sample index: Int, token: Int, logProbability: Double, entropy: Double) -> PolicyTerm {
        var term = PolicyTerm(isControl: token == 0)
        let sample = samples[index]
        if sample.isMasked || (token == 0 && sample.controlSampling == .excluded) { return term }

        term.isCounted = true
        let weight = weight(sample: index, token: token) * (sample.samplerWeights?[token] ?? 1)
        let advantage = sample.advantage
        if token == 0, case .balanced(let old, let cap) = sample.controlSampling {
            let ratio = min(exp(logProbability - old), cap)
            term.policyLoss = -weight * advantage * ratio
            term.gradient = term.policyLoss
        } else {
            let logRatio = sample.oldLogProbabilities.map { logProbability - $0[token] } ?? 0
            let ratio = exp(logRatio)
            let clipped = min(max(ratio, 1 - loss.epsilonLow), 1 + loss.epsilonHigh)
            term.negativeLogRatio = -logRatio
            term.isClipped = ratio * advantage > clipped * advantage
            term.policyLoss = -weight * min(ratio * advantage, clipped * advantage)
            term.gradient = term.isClipped ? 0 : -weight * ratio * advantage
        }

        let regularizerWeight = regularizerWeight(sample: index)
        if loss.klCoefficient != 0, let reference = sample.referenceLogProbabilities?[token] {
            let estimate = loss.klEstimate(new: logProbability, reference: reference)
            let klWeight = loss.klReduction == .sum ? 1 / Double(samples.count) : regularizerWeight
            term.kl = klWeight * estimate.value
            term.gradient += loss.klCoefficient * klWeight * estimate.derivative
        }
        term.entropy = entropy
        term.entropyBonus = regularizerWeight * entropy
        term.entropyGradient = -loss.entropyCoefficient * regularizerWeight
        term.loss = term.policyLoss + loss.klCoefficient * term.kl - loss.entropyCoefficient * term.entropyBonus
        return term
    }
}

/// The contribution of one token to a loss.
public struct PolicyTerm: Sendable, Equatable {
    /// The amount that the token adds to the loss of the mini-batch.
    public var loss: Double = 0
    /// The derivative of the loss with respect to the token's log-probability.
    public var gradient: Double = 0
    /// The derivative of the loss with respect to the token's entropy.
    public var entropyGradient: Double = 0
    /// Whether the ratio is clipped, so that the token has no policy gradient.
    public var isClipped = false
    /// Whether this is token 0 of its response.
    public var isControl: Bool
    /// False for tokens outside the loss: those of masked samples and excluded control tokens.
    public var isCounted = false
    /// The weighted policy-gradient part of `loss`.
    public var policyLoss: Double = 0
    /// The weighted KL estimate, without β.
    public var kl: Double = 0
    /// The weighted entropy, without its coefficient.
    public var entropyBonus: Double = 0
    /// Old − new log-probability; 0 if the ratio is 1 by construction.
    public var negativeLogRatio: Double = 0
    /// The entropy of the token's distribution, unweighted.
    public var entropy: Double = 0
}
