import Foundation

/// The natural exponential; named so that the loss reads without a module's prefix.
@inline(__always)
func exponential(_ value: Double) -> Double { exp(value) }

/// Why samples cannot form a mini-batch.
public enum PolicyBatchError: Error, Equatable, CustomStringConvertible {
    case emptyResponse(sample: Int)
    case lengthMismatch(sample: Int, what: String, expected: Int, found: Int)
    case missingReference(sample: Int)
    case notFinite(sample: Int, what: String)

    public var description: String {
        switch self {
        case .emptyResponse(let sample): "sample \(sample) has no tokens; a response has at least one"
        case .lengthMismatch(let sample, let what, let expected, let found):
            "sample \(sample) has \(found) \(what) for \(expected) tokens"
        case .missingReference(let sample):
            "sample \(sample) has no reference log-probabilities, which a KL coefficient other than 0 needs"
        case .notFinite(let sample, let what): "sample \(sample): its \(what) is not finite"
        }
    }
}

/// One mini-batch as its loss sees it: what of every sample is constant while the gradient is taken.
///
/// All weights are fixed here, from the whole mini-batch. The model may then be run over any cut of it into
/// micro-batches, in any order: a token's term depends on its own log-probability and entropy only, and the loss is
/// the sum of the terms.
public struct PolicyBatch: Sendable {
    /// What the control token's old probability was.
    public enum ControlSampling: Sendable, Equatable {
        /// It was sampled from the old policy like every other token.
        case free
        /// It came from a mixture of forced and free samples that gave it this log-probability. The ratio to it is
        /// an importance weight: capped at `cap`, not clipped, and its gradient stays alive at the cap.
        case balanced(logProbability: Double, cap: Double)
        /// It was forced and takes no part in the control loss (nor in its KL and entropy).
        case excluded
    }

    /// What the loss must know of one response.
    public struct Sample: Sendable {
        /// T_i + 1: the control token and everything sampled after it, the stop token included.
        public var tokenCount: Int
        public var advantage: Double
        /// True takes the response out of the loss; it still counts as a sample of the mini-batch.
        public var isMasked: Bool
        /// `[tokenCount]`, of the policy that sampled; nil where that is the policy being trained (ratio 1).
        public var oldLogProbabilities: [Double]?
        /// `[tokenCount]`; needed where the KL coefficient is not 0.
        public var referenceLogProbabilities: [Double]?
        public var controlSampling: ControlSampling

        public init(
            tokenCount: Int, advantage: Double, isMasked: Bool = false, oldLogProbabilities: [Double]? = nil,
            referenceLogProbabilities: [Double]? = nil, controlSampling: ControlSampling = .free
        ) {
            self.tokenCount = tokenCount
            self.advantage = advantage
            self.isMasked = isMasked
            self.oldLogProbabilities = oldLogProbabilities
            self.referenceLogProbabilities = referenceLogProbabilities
            self.controlSampling = controlSampling
        }
    }

    public let loss: PolicyLoss
    public let samples: [Sample]
    /// Tokens of samples that are not masked, without excluded control tokens.
    public let tokenCount: Int
    /// Control tokens among `tokenCount`.
    public let controlTokenCount: Int

    /// - Throws: `PolicyBatchError` naming the sample.
    public init(loss: PolicyLoss, samples: [Sample]) throws {
        var tokenCount = 0
        var controlTokenCount = 0
        for (index, sample) in samples.enumerated() {
            guard sample.tokenCount > 0 else { throw PolicyBatchError.emptyResponse(sample: index) }
            guard sample.advantage.isFinite else {
                throw PolicyBatchError.notFinite(sample: index, what: "advantage")
            }
            for (values, what) in [
                (sample.oldLogProbabilities, "old log-probabilities"),
                (sample.referenceLogProbabilities, "reference log-probabilities"),
            ] {
                guard let values, !sample.isMasked else { continue }
                guard values.count == sample.tokenCount else {
                    throw PolicyBatchError.lengthMismatch(
                        sample: index, what: what, expected: sample.tokenCount, found: values.count)
                }
            }
            if sample.isMasked { continue }
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

    /// False where leaving the sample out of the forward and backward pass changes neither loss nor gradient.
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

    /// The weight of a token's entropy, and of its KL estimate under `KLReduction.mean`.
    public func regularizerWeight(sample: Int) -> Double {
        switch loss.kind {
        case .degrpo, .grpo: 1 / (Double(samples[sample].tokenCount) * Double(samples.count))
        case .degrpoReleased, .grpoTokenMean: 1 / Double(tokenCount)
        case .drGRPO: 1 / (Double(loss.maximumNewTokens) * Double(samples.count))
        }
    }

    /// Mean over the samples of how much more the control token weighs than under `grpo`: α(T_i+1) for `degrpo`.
    ///
    /// Under 1 the decoupling weakens the choice of mode instead of strengthening it.
    public var relativeControlWeight: Double {
        let counted = samples.indices.filter { !samples[$0].isMasked && samples[$0].controlSampling != .excluded }
        guard !counted.isEmpty else { return 0 }
        let sum = counted.reduce(0.0) { sum, index in
            sum + weight(sample: index, token: 0) * Double(samples[index].tokenCount) * Double(samples.count)
        }
        return sum / Double(counted.count)
    }

    /// A token's part of the loss, and its derivatives.
    ///
    /// - Parameters:
    ///   - sample: index into `samples`.
    ///   - token: 0 for the control token, up to `tokenCount - 1`.
    ///   - logProbability: of the token under the policy being trained, from logits / T.
    ///   - entropy: of the distribution it was sampled from, in nats.
    public func term(sample: Int, token: Int, logProbability: Double, entropy: Double) -> PolicyTerm {
        var term = PolicyTerm(isControl: token == 0)
        let facts = samples[sample]
        if facts.isMasked || (token == 0 && facts.controlSampling == .excluded) { return term }

        term.isCounted = true
        let weight = weight(sample: sample, token: token)
        let advantage = facts.advantage
        if token == 0, case .balanced(let old, let cap) = facts.controlSampling {
            let ratio = min(exponential(logProbability - old), cap)
            term.policyLoss = -weight * advantage * ratio
            term.gradient = term.policyLoss
        } else {
            let logRatio = facts.oldLogProbabilities.map { logProbability - $0[token] } ?? 0
            let ratio = exponential(logRatio)
            let clipped = min(max(ratio, 1 - loss.epsilonLow), 1 + loss.epsilonHigh)
            term.negativeLogRatio = -logRatio
            term.isClipped = ratio * advantage > clipped * advantage
            term.policyLoss = -weight * min(ratio * advantage, clipped * advantage)
            term.gradient = term.isClipped ? 0 : -weight * ratio * advantage
        }

        let regularizerWeight = regularizerWeight(sample: sample)
        if loss.klCoefficient != 0, let reference = facts.referenceLogProbabilities?[token] {
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

/// One token's part of a loss.
public struct PolicyTerm: Sendable, Equatable {
    /// What the token adds to the loss of the mini-batch.
    public var loss: Double = 0
    /// dLoss/dlogp
    public var gradient: Double = 0
    /// dLoss/dentropy
    public var entropyGradient: Double = 0
    /// The clip holds: no policy gradient at this token.
    public var isClipped = false
    /// Token 0 of its response.
    public var isControl: Bool
    /// False for tokens outside the loss (masked samples, excluded control tokens).
    public var isCounted = false
    /// The weighted policy-gradient part of `loss`.
    public var policyLoss: Double = 0
    /// The weighted KL estimate, without β.
    public var kl: Double = 0
    /// The weighted entropy, without its coefficient.
    public var entropyBonus: Double = 0
    /// old − new log-probability; 0 where the ratio is 1 by construction.
    public var negativeLogRatio: Double = 0
    /// The entropy as given.
    public var entropy: Double = 0
}
