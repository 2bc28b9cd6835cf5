/// The loss of a mini-batch and its read-outs, added up token by token over any cut into micro-batches.
public struct PolicyTotals: Sendable, Equatable {
    /// The loss: control + response + β · kl − c · entropy bonus.
    public private(set) var loss = 0.0
    /// The policy-gradient part of the control tokens, its weight (α) included; `control_loss`.
    public private(set) var controlLoss = 0.0
    /// The policy-gradient part of all other tokens; `response_loss`.
    public private(set) var responseLoss = 0.0
    /// The KL term without β, averaged as the loss does it; `kl_loss`.
    public private(set) var kl = 0.0
    /// Tokens added that count in the loss.
    public private(set) var tokenCount = 0
    public private(set) var clippedTokenCount = 0
    private var entropySum = 0.0
    private var negativeLogRatioSum = 0.0

    public init() {}

    /// Adds one token.
    public mutating func add(_ term: PolicyTerm) {
        guard term.isCounted else { return }
        loss += term.loss
        if term.isControl { controlLoss += term.policyLoss } else { responseLoss += term.policyLoss }
        kl += term.kl
        tokenCount += 1
        clippedTokenCount += term.isClipped ? 1 : 0
        entropySum += term.entropy
        negativeLogRatioSum += term.negativeLogRatio
    }

    /// Adds what another micro-batch of the same mini-batch came to.
    public mutating func add(_ other: PolicyTotals) {
        loss += other.loss
        controlLoss += other.controlLoss
        responseLoss += other.responseLoss
        kl += other.kl
        tokenCount += other.tokenCount
        clippedTokenCount += other.clippedTokenCount
        entropySum += other.entropySum
        negativeLogRatioSum += other.negativeLogRatioSum
    }

    /// Mean entropy of the tokens added, in nats; 0 over none. `entropy`.
    public var meanEntropy: Double { mean(entropySum) }
    /// Mean of old − new log-probability over the tokens added; `ppo_kl`.
    public var meanNegativeLogRatio: Double { mean(negativeLogRatioSum) }
    /// Share of the tokens added whose ratio is clipped; `pg_clipfrac`.
    public var clippedFraction: Double { mean(Double(clippedTokenCount)) }

    private func mean(_ sum: Double) -> Double { tokenCount == 0 ? 0 : sum / Double(tokenCount) }
}
