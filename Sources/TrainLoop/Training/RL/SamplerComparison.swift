import Foundation
import Transformer

/// What a server and the model say about the tokens of one response, which the server sampled.
struct ServerScores: Sendable {
    /// The server's log-probabilities, `[tokens]`; not a number where it gave none, and for forced tokens.
    let logProbabilities: [Float]
    /// The entropy of the model's distribution at each token, `[tokens]`, in nats.
    let entropies: [Double]
    /// The index of the server.
    let server: Int
}

/// How far the log-probabilities of one server are from those of the model over a step's responses.
///
/// It is the only thing that notices a server that samples from old weights, at another temperature or with another
/// tokenizer, so every step is compared.
struct SamplerComparison: Sendable {
    /// The tokens compared.
    private(set) var tokenCount = 0
    /// The largest |Δ log p| of a token.
    private(set) var maximum = 0.0
    private var differenceSum = 0.0
    private var surpriseSum = 0.0
    private var surpriseSquares = 0.0

    /// Adds a response with the model's log-probabilities, `[tokens]`.
    mutating func add(_ model: [Float], _ scores: ServerScores) {
        for (token, found) in scores.logProbabilities.enumerated() where found.isFinite {
            let own = Double(model[token])
            let difference = abs(own - Double(found))
            tokenCount += 1
            differenceSum += difference
            maximum = max(maximum, difference)
            // Its mean is 0 over tokens sampled from the model's distribution, whatever the server reports.
            let surprise = own + scores.entropies[token]
            surpriseSum += surprise
            surpriseSquares += surprise * surprise
        }
    }

    mutating func add(_ other: SamplerComparison) {
        tokenCount += other.tokenCount
        maximum = max(maximum, other.maximum)
        differenceSum += other.differenceSum
        surpriseSum += other.surpriseSum
        surpriseSquares += other.surpriseSquares
    }

    /// The mean |Δ log p| of a token, in nats; 0 without tokens.
    var mean: Double { tokenCount == 0 ? 0 : differenceSum / Double(tokenCount) }

    /// Mean log p + entropy of the sampled tokens under the model; above 0 if likely tokens were preferred.
    private var surplus: Double { surpriseSum / Double(max(1, tokenCount)) }

    /// Whether the tokens cannot be draws from the model's distribution, although the server's log-probabilities may
    /// agree: it samples at another temperature, or leaves out unlikely tokens, and reports neither.
    private var isBiased: Bool {
        guard tokenCount >= 200 else { return false }
        let count = Double(tokenCount)
        let error = (max(0, surpriseSquares / count - surplus * surplus) / count).squareRoot()
        return abs(surplus) > 0.1 && abs(surplus) > 6 * error
    }

    /// The reason to stop; nil if the server samples from the model.
    ///
    /// - Parameters:
    ///   - tolerance: the largest mean difference at any step.
    ///   - baseline: the mean difference of the run's first step, if that is over. Later steps may have four times as
    ///     much, and at least `leastLimit`.
    ///   - temperature: the sampling temperature.
    /// - Returns: the difference and its likely cause, as a phrase about the server.
    func failure(tolerance: Double, baseline: Double?, temperature: Double) -> String? {
        let limit = baseline.map { min(tolerance, max(Self.leastLimit, 4 * $0)) } ?? tolerance
        guard mean > limit || isBiased else { return nil }
        let isLate = baseline.map { mean > limit && mean > 2 * $0 } ?? false
        let text =
            "its log-probabilities differ from the model's by \(Self.text(mean)) per token on average (limit "
            + Self.text(limit) + (baseline.map { ", \(Self.text($0)) at the first step" } ?? "") + "): "
        if isLate { return text + "it probably samples from old weights; check that every server loads new ones" }
        if isBiased, surplus < -1 {
            return text + "its tokens are far less likely than draws from the model, so it has another model, "
                + "tokenizer or chat template; start it from an export of the checkpoint that is trained"
        }
        if isBiased {
            return text + "its tokens are \(surplus > 0 ? "likelier" : "less likely") than draws from the model (by "
                + "\(Self.text(abs(surplus)))), so it samples at another temperature than \(temperature), with top-k, "
                + "top-p or penalties, or from other weights; check its defaults and what is between it and ckpt"
        }
        let raw =
            "reports log-probabilities before temperature \(temperature) (start vLLM with --logprobs-mode "
            + "processed_logprobs), "
        return text + "it \(temperature == 1 ? "" : raw)has other weights than the model, samples at another "
            + "temperature, or rounds (quantisation, low precision); give it the present weights in float32 or "
            + "bfloat16, or raise --sampler-tolerance"
    }

    /// The smallest limit that a first step with little difference sets for later ones.
    private static let leastLimit = 0.005

    private static func text(_ value: Double) -> String { String(format: "%.3g", value) }
}

/// Weights that correct for the difference between sampler and model: truncated importance sampling per token.
///
/// The loss of a token is multiplied by min(π/μ, C), with the model's probability π before the step's updates and the
/// server's μ. The control token has a separate bound, because DeGRPO weights it separately (by α).
/// Source: Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy RL training"; verl's
/// `tis_imp_ratio_cap`.
package struct SamplerWeights: Sendable {
    let cap: Double
    let controlCap: Double

    package init(cap: Double, controlCap: Double) { (self.cap, self.controlCap) = (cap, controlCap) }

    /// The weights of a response's tokens, `[tokens]`, from log-probabilities under model and server.
    ///
    /// A token of which the server gave no probability has weight 1; so has a control token if `weighsControl` is
    /// false.
    package func weights(model: [Float], server: [Float], weighsControl: Bool) -> [Double] {
        zip(model, server).enumerated().map { token, pair in
            guard pair.1.isFinite, token > 0 || weighsControl else { return 1 }
            return min(exp(Double(pair.0) - Double(pair.1)), token == 0 ? controlCap : cap)
        }
    }
}

/// The metrics of a step's servers.
struct SamplerMetrics: Sendable {
    let comparison: SamplerComparison
    private var sum = 0.0
    private var capped = 0
    private var count = 0
    private var controlSum = 0.0
    private var controlCount = 0

    init(_ comparison: SamplerComparison) { self.comparison = comparison }

    /// Adds the weights of a response.
    mutating func add(_ weights: [Double], _ caps: SamplerWeights) {
        for (token, weight) in weights.enumerated() {
            sum += weight
            count += 1
            if weight >= (token == 0 ? caps.controlCap : caps.cap) { capped += 1 }
        }
        if let first = weights.first {
            controlSum += first
            controlCount += 1
        }
    }

    var row: MetricRow {
        func mean(_ sum: Double, _ count: Int) -> Double { count == 0 ? .nan : sum / Double(count) }
        return [
            "sampler_difference_mean": comparison.mean, "sampler_difference_max": comparison.maximum,
            "sampler_weight_mean": mean(sum, count), "sampler_weight_capped": mean(Double(capped), count),
            "sampler_control_weight_mean": mean(controlSum, controlCount),
        ]
    }
}
