import Foundation
import OrderedJSON
import TestSupport
import Testing
import TrainLoop

/// Loss and gradients against PyTorch's autograd; see `Fixtures/make_policy_loss.py`.
@Suite struct PolicyLossAgreementTests {
    private static let cases: [JSON] = {
        let path = fixturesFolder().appending(path: "policy_loss.json")
        return (try? JSON.parse([UInt8](Data(contentsOf: path))))?.array ?? []
    }()

    @Test func fixtureIsThere() { #expect(Self.cases.count == 17) }

    @Test(arguments: 0..<17) func agreesWithAutograd(index: Int) throws {
        let fixture = try #require(Self.cases.dropFirst(index).first)
        func number(_ key: String) throws -> Double { try #require(fixture[key]?.double) }
        func rows(_ key: String) -> [[Double]]? {
            fixture[key]?.array?.map { ($0.array ?? []).compactMap(\.double) }
        }
        let alpha = try number("alpha")
        let loss = PolicyLoss(
            kind: try #require(PolicyLoss.Kind(rawValue: fixture["kind"]?.string ?? "")),
            controlWeight: fixture["coupled"]?.bool == true ? .inverseLength(alpha) : .constant(alpha),
            epsilonLow: try number("epsilon_low"), epsilonHigh: try number("epsilon_high"),
            klCoefficient: try number("kl_coefficient"),
            klEstimator: try #require(PolicyLoss.KLEstimator(rawValue: fixture["estimator"]?.string ?? "")),
            klReduction: try #require(PolicyLoss.KLReduction(rawValue: fixture["reduction"]?.string ?? "")),
            entropyCoefficient: try number("entropy_coefficient"),
            maximumNewTokens: Int(try number("maximum_new_tokens")))
        let new = try #require(rows("new"))
        let entropy = try #require(rows("entropy"))
        let advantages = try #require(fixture["advantages"]?.array?.compactMap { $0.double })
        let masked = try #require(fixture["masked"]?.array?.compactMap { $0.bool })
        let reference = try #require(rows("reference"))
        let old = rows("old")
        let batch = try PolicyBatch(
            loss: loss,
            samples: new.indices.map {
                .init(
                    tokenCount: new[$0].count, advantage: advantages[$0], isMasked: masked[$0],
                    oldLogProbabilities: old?[$0], referenceLogProbabilities: reference[$0])
            })

        let gradient = try #require(rows("gradient"))
        let entropyGradient = try #require(rows("entropy_gradient"))
        var totals = PolicyTotals()
        for sample in new.indices {
            for token in new[sample].indices {
                let term = batch.term(
                    sample: sample, token: token, logProbability: new[sample][token], entropy: entropy[sample][token])
                totals.add(term)
                #expect(abs(term.gradient - gradient[sample][token]) < 1e-12)
                #expect(abs(term.entropyGradient - entropyGradient[sample][token]) < 1e-12)
            }
        }
        #expect(abs(totals.loss - (try number("loss"))) < 1e-12)
        #expect(abs(totals.kl - (try number("kl"))) < 1e-12)
        #expect(abs(totals.meanNegativeLogRatio - (try readOut("ppo_kl"))) < 1e-12)
        #expect(abs(batch.clippedFraction(totals) - (try readOut("pg_clipfrac"))) < 1e-12)

        // Samples without advantage are not computed if nothing else needs them; verl counts their tokens too.
        var plain = loss
        (plain.klCoefficient, plain.entropyCoefficient) = (0, 0)
        let onlyPolicy = try PolicyBatch(loss: plain, samples: batch.samples)
        var computed = PolicyTotals()
        for sample in new.indices where onlyPolicy.contributes(sample) {
            for token in new[sample].indices {
                computed.add(
                    onlyPolicy.term(sample: sample, token: token, logProbability: new[sample][token], entropy: 0))
            }
        }
        #expect(computed.tokenCount < totals.tokenCount)
        #expect(abs(onlyPolicy.clippedFraction(computed) - (try readOut("pg_clipfrac"))) < 1e-12)
        #expect(abs(computed.meanNegativeLogRatio - (try readOut("ppo_kl_computed"))) < 1e-12)
        func readOut(_ key: String) throws -> Double { try #require(fixture["read_outs"]?[key]?.double) }
    }
}
