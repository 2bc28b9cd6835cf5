import Foundation
import Testing
import TrainLoop

/// Three responses of one group, in double precision.
///
/// The expected numbers were computed with PyTorch and with the loss functions of verl and of the method's authors.
private enum Golden {
    static let new = [[-0.20, -0.40, -0.10], [-0.70, -0.30, -0.20, -0.05], [-0.60, -0.10]]
    static let old = [[-0.50, -0.35, -0.12], [-0.40, -0.33, -0.25, -0.05], [-0.62, -0.40]]
    static let reference = [[-0.25, -0.42, -0.11], [-0.60, -0.35, -0.22, -0.05], [-0.70, -0.15]]
    static let rewards = [1.0, 0.5, -1.0]

    static func batch(_ loss: PolicyLoss, hasOld: Bool = true) throws -> PolicyBatch {
        let advantages = Advantages.ofGroup(rewards)
        return try PolicyBatch(
            loss: loss,
            samples: new.indices.map {
                PolicyBatch.Sample(
                    tokenCount: new[$0].count, advantage: advantages[$0], oldLogProbabilities: hasOld ? old[$0] : nil,
                    referenceLogProbabilities: reference[$0])
            })
    }
}

/// The terms of a batch, `[sample][token]`.
private func terms(_ batch: PolicyBatch, _ logProbabilities: [[Double]], entropy: Double = 0) -> [[PolicyTerm]] {
    logProbabilities.indices.map { sample in
        logProbabilities[sample].indices.map {
            batch.term(sample: sample, token: $0, logProbability: logProbabilities[sample][$0], entropy: entropy)
        }
    }
}

private func totals(_ terms: [[PolicyTerm]]) -> PolicyTotals {
    var totals = PolicyTotals()
    for term in terms.joined() { totals.add(term) }
    return totals
}

private func expectClose(
    _ found: [[Double]], _ expected: [[Double]], tolerance: Double = 1e-8,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(found.map(\.count) == expected.map(\.count), sourceLocation: sourceLocation)
    for (found, expected) in zip(found.joined(), expected.joined()) {
        #expect(abs(found - expected) < tolerance, sourceLocation: sourceLocation)
    }
}

@Suite struct PolicyLossTests {
    @Test(arguments: [
        (PolicyLoss(kind: .degrpo), 0.1369783756),
        (PolicyLoss(kind: .degrpoReleased), -0.1825631635),
        (PolicyLoss(kind: .grpo), 0.0610122583),
        (PolicyLoss(kind: .grpo, epsilonHigh: 0.28), 0.0536048509),
        (PolicyLoss(kind: .grpoTokenMean), -0.1279966758),
        (PolicyLoss(kind: .grpoTokenMean, epsilonHigh: 0.28), -0.1354040832),
        (PolicyLoss(kind: .drGRPO, maximumNewTokens: 4), -0.0959975068),
        (PolicyLoss(kind: .drGRPO, epsilonHigh: 0.28, maximumNewTokens: 4), -0.1015530624),
        (PolicyLoss(kind: .degrpo, klCoefficient: 1e-3), 0.1369801009),
        (PolicyLoss(kind: .degrpo, klCoefficient: 1e-3, klReduction: .sum), 0.1369830902),
        (PolicyLoss(kind: .degrpoReleased, klCoefficient: 1e-3), -0.1825615919),
        (PolicyLoss(kind: .grpoTokenMean, epsilonHigh: 0.28, klCoefficient: 1e-3), -0.1354025116),
    ])
    func valuesOfTheReference(loss: PolicyLoss, expected: Double) throws {
        let found = totals(terms(try Golden.batch(loss), Golden.new)).loss
        #expect(abs(found - expected) < 1e-10)
    }

    @Test func gradientsOfTheReference() throws {
        func gradients(_ loss: PolicyLoss) throws -> [[Double]] {
            terms(try Golden.batch(loss), Golden.new).map { $0.map(\.gradient) }
        }
        expectClose(
            try gradients(PolicyLoss(kind: .degrpoReleased)),
            [
                [0, -0.1321152, -0.14169463], [-0.00008231, -0.05724747, -0.05840395, -0.05555556],
                [0.00039674, 0.26247255],
            ])
        expectClose(
            try gradients(PolicyLoss(kind: .degrpo)),
            [
                [0, -0.1321152, -0.14169463], [-0.00008231, -0.03816498, -0.03893597, -0.03703704],
                [0.00039674, 0.52494509],
            ])
        expectClose(
            try gradients(PolicyLoss(kind: .grpoTokenMean, epsilonHigh: 0.28, klCoefficient: 1e-3)),
            [
                [0.00000542, -0.0880746, -0.09446198], [-0.0274494, -0.03815956, -0.03893377, -0.03703704],
                [0.1322589, 0.17498712],
            ])
    }

    @Test func readOutsOfTheReference() throws {
        let batch = try Golden.batch(PolicyLoss(kind: .grpoTokenMean))
        let totals = totals(terms(batch, Golden.new, entropy: 0.5))
        #expect(abs(totals.meanNegativeLogRatio - -0.0411111111) < 1e-10)
        #expect(abs(batch.clippedFraction(totals) - 1.0 / 9) < 1e-12)
        #expect(totals.meanEntropy == 0.5)
        for (estimator, expected) in [
            (PolicyLoss.KLEstimator.k1, 0.0222222222), (.k2, 0.0015777778), (.k3, 0.0015715322),
        ] {
            let loss = PolicyLoss(kind: .grpoTokenMean, klCoefficient: 1, klEstimator: estimator)
            let kl = TrainLoopTests.totals(terms(try Golden.batch(loss), Golden.new)).kl
            #expect(abs(kl - expected) < 1e-10)
        }
    }

    @Test func partsAddUpToTheLoss() throws {
        for kind in PolicyLoss.Kind.allCases {
            let loss = PolicyLoss(kind: kind, klCoefficient: 0.1, entropyCoefficient: 0.01)
            let totals = totals(terms(try Golden.batch(loss), Golden.new, entropy: 1))
            // Every token has the same entropy, so the bonus is its coefficient times the sum of the weights.
            let bonus = loss.entropyCoefficient * (kind == .drGRPO ? 3.0 / 1024 : 1)
            let sum = totals.controlLoss + totals.responseLoss + 0.1 * totals.kl - bonus
            #expect(abs(totals.loss - sum) < 1e-14)
        }
    }

    /// Every kind with every estimator, compared with central differences.
    @Test(arguments: PolicyLoss.Kind.allCases, PolicyLoss.KLEstimator.allCases)
    func finiteDifferences(kind: PolicyLoss.Kind, estimator: PolicyLoss.KLEstimator) throws {
        let loss = PolicyLoss(
            kind: kind, epsilonHigh: 0.28, klCoefficient: 0.3, klEstimator: estimator, entropyCoefficient: 0.02,
            maximumNewTokens: 7)
        let batch = try Golden.batch(loss)
        for sample in Golden.new.indices {
            for token in Golden.new[sample].indices {
                let at = Golden.new[sample][token]
                func value(_ logProbability: Double, _ entropy: Double) -> Double {
                    batch.term(sample: sample, token: token, logProbability: logProbability, entropy: entropy).loss
                }
                let term = batch.term(sample: sample, token: token, logProbability: at, entropy: 0.7)
                let slope = (value(at + 1e-6, 0.7) - value(at - 1e-6, 0.7)) / 2e-6
                #expect(abs(slope - term.gradient) < 1e-8)
                let entropySlope = (value(at, 0.7 + 1e-6) - value(at, 0.7 - 1e-6)) / 2e-6
                #expect(abs(entropySlope - term.entropyGradient) < 1e-8)
            }
        }
    }

    @Test(arguments: PolicyLoss.Kind.allCases)
    func microBatchesDoNotChangeTheTotals(kind: PolicyLoss.Kind) throws {
        let loss = PolicyLoss(kind: kind, klCoefficient: 0.1, entropyCoefficient: 0.01)
        let batch = try Golden.batch(loss)
        let all = terms(batch, Golden.new, entropy: 0.3)
        let whole = totals(all)
        for cut in [[[0], [1], [2]], [[0], [1, 2]], [[2, 1], [0]], [[1], [2, 0]]] {
            var sum = PolicyTotals()
            for part in cut {
                // The terms of a part are computed again, like by another pass of the model.
                var partial = PolicyTotals()
                for sample in part {
                    for token in Golden.new[sample].indices {
                        let term = batch.term(
                            sample: sample, token: token, logProbability: Golden.new[sample][token], entropy: 0.3)
                        #expect(term == all[sample][token])
                        partial.add(term)
                    }
                }
                sum.add(partial)
            }
            #expect(abs(sum.loss - whole.loss) < 1e-15)
            #expect(abs(sum.kl - whole.kl) < 1e-15)
            #expect(sum.tokenCount == whole.tokenCount && sum.clippedTokenCount == whole.clippedTokenCount)
        }
    }

    /// Without old probabilities the ratio is exactly 1, as if the new ones were given as old.
    @Test(arguments: PolicyLoss.Kind.allCases)
    func firstUpdateHasRatioOne(kind: PolicyLoss.Kind) throws {
        let loss = PolicyLoss(kind: kind)
        let advantages = Advantages.ofGroup(Golden.rewards)
        let given = try PolicyBatch(
            loss: loss,
            samples: Golden.new.indices.map {
                .init(
                    tokenCount: Golden.new[$0].count, advantage: advantages[$0], oldLogProbabilities: Golden.new[$0])
            })
        let implied = terms(try Golden.batch(loss, hasOld: false), Golden.new)
        #expect(implied == terms(given, Golden.new))
        let totals = totals(implied)
        #expect(totals.meanNegativeLogRatio == 0 && totals.clippedTokenCount == 0)
    }

    @Test func referenceEqualToThePolicyCostsNothing() throws {
        for estimator in PolicyLoss.KLEstimator.allCases {
            let loss = PolicyLoss(kind: .grpo, klCoefficient: 1, klEstimator: estimator)
            let batch = try PolicyBatch(
                loss: loss,
                samples: [.init(tokenCount: 2, advantage: 0, referenceLogProbabilities: [-0.3, -1.2])])
            let terms = terms(batch, [[-0.3, -1.2]])
            #expect(totals(terms).kl == 0)
            if estimator != .k1 { #expect(terms[0].allSatisfy { $0.gradient == 0 }) }
        }
    }

    @Test func klLimitStopsTheGradient() throws {
        let loss = PolicyLoss(kind: .grpo, klCoefficient: 1, klLimit: 10)
        let batch = try PolicyBatch(
            loss: loss, samples: [.init(tokenCount: 1, advantage: 0, referenceLogProbabilities: [-0.1])])
        let term = batch.term(sample: 0, token: 0, logProbability: -20, entropy: 0)
        #expect(term.loss == 10 && term.gradient == 0)
    }
}

@Suite struct PolicyBatchEdgeTests {
    static let everyKind = PolicyLoss.Kind.allCases

    private func sum(_ batch: PolicyBatch) -> (loss: Double, gradients: [Double]) {
        var totals = PolicyTotals()
        var gradients: [Double] = []
        for sample in batch.samples.indices {
            for token in 0..<batch.samples[sample].tokenCount {
                let term = batch.term(sample: sample, token: token, logProbability: -1, entropy: 0.5)
                totals.add(term)
                gradients += [term.gradient, term.entropyGradient]
            }
        }
        for value in [totals.meanEntropy, totals.meanNegativeLogRatio, batch.clippedFraction(totals)] {
            #expect(value.isFinite)
        }
        return (totals.loss, gradients)
    }

    @Test(arguments: everyKind) func responsesOfOneToken(kind: PolicyLoss.Kind) throws {
        let batch = try PolicyBatch(
            loss: PolicyLoss(kind: kind, controlWeight: .constant(2)),
            samples: [.init(tokenCount: 1, advantage: 1), .init(tokenCount: 1, advantage: -1)])
        let (loss, gradients) = sum(batch)
        #expect(abs(loss) < 1e-15)
        #expect(gradients.allSatisfy { $0.isFinite })
        #expect(gradients[0] < 0 && gradients[2] > 0)
    }

    @Test(arguments: everyKind) func everySampleMasked(kind: PolicyLoss.Kind) throws {
        let batch = try PolicyBatch(
            loss: PolicyLoss(kind: kind, klCoefficient: 0.1, entropyCoefficient: 0.1),
            samples: [
                .init(tokenCount: 3, advantage: 1, isMasked: true), .init(tokenCount: 1, advantage: -1, isMasked: true),
            ])
        let (loss, gradients) = sum(batch)
        #expect(loss == 0)
        #expect(gradients.allSatisfy { $0 == 0 })
        #expect(!batch.contributes(0) && !batch.contributes(1))
        #expect(batch.relativeControlWeight == 0)
    }

    @Test(arguments: everyKind) func zeroSpreadMovesNothing(kind: PolicyLoss.Kind) throws {
        let advantages = Advantages.ofGroup([-1, -1, -1])
        let batch = try PolicyBatch(
            loss: PolicyLoss(kind: kind), samples: advantages.map { .init(tokenCount: 2, advantage: $0) })
        let (loss, gradients) = sum(batch)
        #expect(loss == 0)
        #expect(gradients.allSatisfy { $0 == 0 })
        #expect(batch.samples.indices.allSatisfy { !batch.contributes($0) })
    }

    @Test func anEmptyBatchIsValid() throws {
        let batch = try PolicyBatch(loss: PolicyLoss(), samples: [])
        #expect(batch.tokenCount == 0 && batch.relativeControlWeight == 0)
    }

    /// A masked sample counts as a sample, but its tokens do not count.
    @Test func maskedSamplesCountAsSamples() throws {
        let samples = [
            PolicyBatch.Sample(tokenCount: 4, advantage: 1), .init(tokenCount: 6, advantage: -1, isMasked: true),
        ]
        let perSample = try PolicyBatch(loss: PolicyLoss(kind: .grpo), samples: samples)
        #expect(perSample.weight(sample: 0, token: 1) == 1.0 / 8)
        let perToken = try PolicyBatch(loss: PolicyLoss(kind: .grpoTokenMean), samples: samples)
        #expect(perToken.weight(sample: 0, token: 1) == 1.0 / 4)
    }

    @Test func zeroAdvantageStillPullsTowardsTheReference() throws {
        let loss = PolicyLoss(kind: .degrpo, klCoefficient: 0.1)
        let batch = try PolicyBatch(
            loss: loss, samples: [.init(tokenCount: 1, advantage: 0, referenceLogProbabilities: [-0.5])])
        #expect(batch.contributes(0))
        // The token is less likely under the policy than under the reference, so descent must raise its probability.
        #expect(batch.term(sample: 0, token: 0, logProbability: -1, entropy: 0).gradient < 0)
    }

    @Test func relativeControlWeight() throws {
        let samples = [PolicyBatch.Sample(tokenCount: 129, advantage: 1), .init(tokenCount: 129, advantage: -1)]
        let degrpo = try PolicyBatch(loss: PolicyLoss(), samples: samples)
        #expect(abs(degrpo.relativeControlWeight - 0.129) < 1e-12)
        let grpo = try PolicyBatch(loss: PolicyLoss(kind: .grpo), samples: samples)
        #expect(abs(grpo.relativeControlWeight - 1) < 1e-12)
        let coupled = try PolicyBatch(loss: PolicyLoss(controlWeight: .inverseLength(3)), samples: samples)
        #expect(abs(coupled.relativeControlWeight - 3) < 1e-12)
    }

    @Test func balancedControlTokens() throws {
        let loss = PolicyLoss(kind: .degrpo, controlWeight: .constant(1))
        func term(_ sampling: PolicyBatch.ControlSampling, at logProbability: Double) throws -> PolicyTerm {
            let batch = try PolicyBatch(
                loss: loss,
                samples: [
                    .init(tokenCount: 2, advantage: 1, oldLogProbabilities: [-9, -1], controlSampling: sampling)
                ])
            return batch.term(sample: 0, token: 0, logProbability: logProbability, entropy: 0)
        }
        // Below the cap it is the ratio to the mixture, even outside the clip range.
        let balanced = PolicyBatch.ControlSampling.balanced(logProbability: -1, cap: 2)
        let inside = try term(balanced, at: -0.5)
        #expect(abs(inside.gradient - -exp(0.5)) < 1e-12 && !inside.isClipped)
        // At the cap the weight is constant, but the gradient is not 0.
        #expect(try term(balanced, at: 0).gradient == -2)
        let excluded = try term(.excluded, at: 0)
        #expect(excluded.loss == 0 && excluded.gradient == 0 && !excluded.isCounted)
    }

    /// They multiply the policy gradient of their token, clipped or not, and nothing else.
    @Test func samplerWeights() throws {
        let caps = SamplerWeights(cap: 2, controlCap: 1.5)
        let logarithms: (model: [Float], server: [Float]) = ([-1, -1, -1, -1], [-2, -3, -0.5, .nan])
        let weights = caps.weights(model: logarithms.model, server: logarithms.server, weighsControl: true)
        expectClose([weights], [[1.5, 2, exp(-0.5), 1]])
        let uncontrolled = caps.weights(model: logarithms.model, server: logarithms.server, weighsControl: false)
        #expect(uncontrolled[0] == 1 && uncontrolled.dropFirst() == weights.dropFirst())

        let loss = PolicyLoss(klCoefficient: 0.1, entropyCoefficient: 0.01)
        func terms(_ weights: [Double]?) throws -> [PolicyTerm] {
            let sample = PolicyBatch.Sample(
                tokenCount: 4, advantage: 1, oldLogProbabilities: [-1, -2, -1, -0.5],
                referenceLogProbabilities: [-1, -1, -2, -1], samplerWeights: weights)
            let batch = try PolicyBatch(loss: loss, samples: [sample])
            return (0..<4).map { batch.term(sample: 0, token: $0, logProbability: -0.9, entropy: 2) }
        }
        for (plain, (weighted, weight)) in zip(try terms(nil), zip(try terms(weights), weights)) {
            #expect(abs(weighted.policyLoss - weight * plain.policyLoss) < 1e-15)
            #expect(abs((weighted.loss - weighted.policyLoss) - (plain.loss - plain.policyLoss)) < 1e-15)
            #expect(weighted.isClipped == plain.isClipped && weighted.entropyGradient == plain.entropyGradient)
        }
        #expect(try terms([1, 1, 1, 1]) == terms(nil))
        #expect(throws: PolicyBatchError.self) { try terms([1, 1]) }
        #expect(throws: PolicyBatchError.notFinite(sample: 0, what: "sampler weight")) { try terms([1, .nan, 1, 1]) }
    }

    @Test func mistakesAreNamed() {
        let loss = PolicyLoss(klCoefficient: 0.1)
        func failure(_ sample: PolicyBatch.Sample) -> String {
            do {
                _ = try PolicyBatch(loss: loss, samples: [sample])
                return "none"
            } catch { return "\(error)" }
        }
        #expect(failure(.init(tokenCount: 0, advantage: 0)) == "sample 0 has no tokens; a response has at least one")
        #expect(
            failure(.init(tokenCount: 2, advantage: 0, oldLogProbabilities: [0]))
                == "sample 0 has 1 old log-probabilities for 2 tokens")
        #expect(
            failure(.init(tokenCount: 1, advantage: 0))
                == "sample 0 has no reference log-probabilities, which a KL coefficient other than 0 needs")
        #expect(failure(.init(tokenCount: 1, advantage: .nan)) == "sample 0: its advantage is not finite")
    }
}

@Suite struct AdvantagesTests {
    @Test func valuesOfTheReference() {
        expectClose(
            [Advantages.ofGroup([1, 0.5, -1])], [[0.8333333333, 0.3333333333, -1.1666666667]], tolerance: 1e-9)
        expectClose(
            [Advantages.ofGroup([1, 0.5, -1], scale: .standardDeviation)],
            [[0.80064000, 0.32025600, -1.12089600]])
    }

    @Test(arguments: Advantages.Scale.allCases) func nothingToCompare(scale: Advantages.Scale) {
        #expect(Advantages.ofGroup([], scale: scale) == [])
        #expect(Advantages.ofGroup([0.5], scale: scale) == [0])
        // The mean of three times 0.1 is not exactly 0.1.
        #expect(Advantages.ofGroup([0.1, 0.1, 0.1], scale: scale) == [0, 0, 0])
    }
}
