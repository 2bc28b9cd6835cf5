import Foundation
import OrderedJSON
import TestSupport
import Testing
import TrainLoop
import Transformer

/// Losses and their gradients through a model compared with PyTorch (Fixtures/make_rl_step.py), for several divisions
/// into micro-batches: groups that share a prompt, a response that consists of its control token, one that is masked.
@Suite struct RLStepAgreementTests {
    private struct Fixture {
        let parameters: ModelParameters
        let names: [String]
        let json: JSON
        let gradients: [Float]

        init() throws {
            let sft = try SFTStepTests.Fixture()
            parameters = sft.parameters
            let folder = fixturesFolder()
            json = try JSON.parse(Array(Data(contentsOf: folder.appendingPathComponent("rl_step.json"))))
            gradients = try Data(contentsOf: folder.appendingPathComponent("rl_step.bin")).withUnsafeBytes {
                Array($0.bindMemory(to: Float.self))
            }
            names = try SFTStepTests.Fixture.parameterNames()
        }

        func miniBatch(_ example: JSON) throws -> MiniBatch {
            func number(_ key: String) throws -> Double { try #require(example[key]?.double) }
            func rows(_ key: String) throws -> [[Double]] {
                try #require(json[key]?.array).map { try #require($0.array).compactMap(\.double) }
            }
            let sequences = try #require(json["sequences"]?.array).map { sequence in
                TrainingSequence(
                    prompt: try #require(sequence["prompt"]?.array).compactMap(\.int),
                    response: try #require(sequence["response"]?.array).compactMap(\.int))
            }
            let loss = PolicyLoss(
                kind: try #require(PolicyLoss.Kind(rawValue: example["kind"]?.string ?? "")),
                controlWeight: .constant(0.6), epsilonLow: 0.1, epsilonHigh: 0.15,
                klCoefficient: try number("kl"),
                klEstimator: try #require(PolicyLoss.KLEstimator(rawValue: example["estimator"]?.string ?? "")),
                entropyCoefficient: try number("entropy"), maximumNewTokens: 12)
            let (old, reference) = (try rows("old"), try rows("reference"))
            let advantages = try #require(json["advantages"]?.array).compactMap(\.double)
            let masked = try #require(json["masked"]?.array).compactMap(\.bool)
            let mixture = try #require(json["mixture"]?.array).compactMap(\.double)
            let cap = try #require(json["cap"]?.double)
            let samples = sequences.indices.map { index in
                PolicyBatch.Sample(
                    tokenCount: sequences[index].response.count, advantage: advantages[index],
                    isMasked: masked[index], oldLogProbabilities: example["old"]?.bool == true ? old[index] : nil,
                    referenceLogProbabilities: reference[index],
                    controlSampling: example["balanced"]?.bool == true
                        ? .balanced(logProbability: mixture[index], cap: cap) : .free)
            }
            return MiniBatch(sequences: sequences, policyBatch: try PolicyBatch(loss: loss, samples: samples))
        }
    }

    @Test(arguments: 0..<6, [1_000, 20, 1])
    func lossAndGradientsAgreeWithPyTorch(index: Int, tokenBudget: Int) throws {
        let fixture = try Fixture()
        let example = try #require(fixture.json["cases"]?.array)[index]
        let temperature = try #require(fixture.json["temperature"]?.double)
        let gradients = ModelParameters(fixture.parameters.configuration)
        let totals = try fixture.miniBatch(example).accumulate(
            Model(fixture.parameters), temperature: temperature, tokenBudget: tokenBudget, into: gradients
        ).totals
        let expected = try #require(example["loss"]?.double)
        #expect(abs(totals.loss - expected) < 1e-5 * max(1, abs(expected)))
        if example["kl"]?.double != 0 {
            #expect(abs(totals.kl - (try #require(example["kl_loss"]?.double))) < 1e-5)
        }
        if example["entropy"]?.double != 0 {
            #expect(abs(totals.meanEntropy - (try #require(example["mean_entropy"]?.double))) < 1e-5)
        }
        var place = index * fixture.parameters.values.count
        for name in fixture.names {
            let found = try #require(gradients[name])
            let wanted = fixture.gradients[place..<(place + found.count)]
            place += found.count
            let scale = wanted.map(abs).max() ?? 0
            let error = zip(found, wanted).map { abs($0 - $1) }.max() ?? 0
            #expect(error < 1e-3 * max(scale, 1e-6), "\(name): \(error) of \(scale)")
        }
    }

    /// The division into micro-batches changes only the rounding of the gradient.
    @Test(arguments: 0..<6) func microBatchesChangeOnlyRounding(index: Int) throws {
        let fixture = try Fixture()
        let example = try #require(fixture.json["cases"]?.array)[index]
        let batch = try fixture.miniBatch(example)
        let whole = ModelParameters(fixture.parameters.configuration)
        batch.accumulate(Model(fixture.parameters), temperature: 1, tokenBudget: 1_000, into: whole)
        let scale = whole.values.map(abs).max() ?? 0
        for budget in [40, 15, 1] {
            let cut = ModelParameters(fixture.parameters.configuration)
            batch.accumulate(Model(fixture.parameters), temperature: 1, tokenBudget: budget, into: cut)
            let error = zip(whole.values, cut.values).map { abs($0 - $1) }.max() ?? 0
            #expect(error < 2e-6 * scale, "budget \(budget): \(error) of \(scale)")
        }
    }

    /// The gradient through the model compared with central differences of the loss, along one direction.
    @Test(arguments: 0..<6) func finiteDifferences(index: Int) throws {
        let fixture = try Fixture()
        let example = try #require(fixture.json["cases"]?.array)[index]
        let batch = try fixture.miniBatch(example)
        // At the cap of an importance weight the value is constant, but the gradient is not 0.
        guard example["balanced"]?.bool != true else { return }
        // Without old probabilities the ratio is 1 by construction, so the value does not change.
        guard example["old"]?.bool == true else { return }
        let gradients = ModelParameters(fixture.parameters.configuration)
        let temperature = try #require(fixture.json["temperature"]?.double)
        batch.accumulate(Model(fixture.parameters), temperature: temperature, tokenBudget: 1_000, into: gradients)
        let norm = gradientNorm(gradients)
        func loss(_ step: Double) -> Double {
            let moved = ModelParameters(copying: fixture.parameters)
            for i in moved.values.indices { moved.values[i] += Float(step / norm) * gradients.values[i] }
            let scratch = ModelParameters(fixture.parameters.configuration)
            return batch.accumulate(Model(moved), temperature: temperature, tokenBudget: 1_000, into: scratch)
                .totals.loss
        }
        let slope = (loss(2e-3) - loss(-2e-3)) / 4e-3
        #expect(abs(slope - norm) < 0.02 * norm, "\(slope) against \(norm)")
    }
}
