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
    }
}
