/// The loss of a mini-batch and its metrics, summed token by token over any division into micro-batches.
public struct PolicyTotals: Sendable, Equatable, Codable {
    /// The loss: control + response + β · KL − c · entropy.
    public private(set) var loss = 0.0
    /// The policy-gradient part of the control tokens, including its weight α; metric `control_loss`.
    public private(set) var controlLoss = 0.0
    /// The policy-gradient part of all other tokens; metric `response_loss`.
    public private(set) var responseLoss = 0.0
    /// The KL term without β, weighted as in the loss; metric `kl_loss`.
    public private(set) var kl = 0.0
    /// The tokens added that are part of the loss.
    public private(set) var tokenCount = 0
    /// The tokens added whose ratio is clipped.
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

    /// Adds the totals of another micro-batch of the same mini-batch.
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

    /// The mean entropy of the tokens added, in nats, 0 if there are none; metric `entropy`.
    public var meanEntropy: Double { mean(entropySum) }
    /// The mean of old − new log-probability over the tokens added; metric `ppo_kl_computed`.
    public var meanNegativeLogRatio: Double { mean(negativeLogRatioSum) }

    private func mean(_ sum: Double) -> Double { tokenCount == 0 ? 0 : sum / Double(tokenCount) }
}
