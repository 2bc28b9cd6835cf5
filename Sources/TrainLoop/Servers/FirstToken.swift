import Foundation
import OrderedJSON

/// The first token of an answer, and what a server says about its distribution.
package struct FirstToken: Sendable, Equatable {
    /// The text of the token.
    package var text: String
    /// The probabilities of the most likely tokens by their texts.
    package var top: [String: Double]

    package init(text: String, top: [String: Double]) {
        self.text = text
        self.top = top
    }

    /// The first token in the `logprobs` of a choice; nil without any, or if a log-probability is not one.
    init?(_ logprobs: JSON?) {
        guard let first = logprobs?["content"]?.array?.first, let text = first["token"]?.string else { return nil }
        self.init(text: text, top: [:])
        for token in first["top_logprobs"]?.array ?? [] {
            guard let text = token["token"]?.string, let value = token["logprob"]?.double,
                let probability = Self.probability(value)
            else { return nil }
            top[text] = probability
        }
    }

    /// The probability of a token; 0 if it is not among the most likely ones, nil if none are known.
    package func probability(of text: String) -> Double? { top.isEmpty ? nil : top[text] ?? 0 }

    /// A probability from its logarithm, which may exceed 0 by rounding; nil if it is none.
    private static func probability(_ logarithm: Double) -> Double? {
        logarithm <= 1e-3 ? min(1, exp(logarithm)) : nil
    }
}
