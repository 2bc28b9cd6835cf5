import CheckpointIO
import Foundation
import OrderedJSON
import TestSupport
import Testing
import TrainLoop
import Transformer

/// One SFT step against PyTorch on the same tensors (Fixtures/make_sft_step.py).
@Suite struct SFTStepTests {
    struct Fixture {
        let parameters: ModelParameters
        let sequences: [TrainingSequence]
        let losses: JSON
        /// By reduction and parameter name.
        let gradients: [String: [String: [Float]]]

        init() throws {
            let folder = fixturesFolder()
            let json = try JSON.parse(Array(Data(contentsOf: folder.appendingPathComponent("sft_step.json"))))
            let numbers = try Data(contentsOf: folder.appendingPathComponent("sft_step.bin")).withUnsafeBytes {
                Array($0.bindMemory(to: Float.self))
            }
            let parameters = ModelParameters(try ModelConfiguration(json: try #require(json["config"]).serialized()))
            let names = try #require(json["parameters"]?.array).compactMap(\.string)
            var place = 0
            for name in names {
                let values = try #require(parameters[name])
                _ = values.update(fromContentsOf: numbers[place..<(place + values.count)])
                place += values.count
            }
            var gradients: [String: [String: [Float]]] = [:]
            for reduction in ["token", "sequence"] {
                for name in names {
                    let count = try #require(parameters[name]).count
                    gradients[reduction, default: [:]][name] = Array(numbers[place..<(place + count)])
                    place += count
                }
            }
            #expect(place == numbers.count)
            self.parameters = parameters
            self.gradients = gradients
            losses = try #require(json["losses"])
            sequences = try #require(json["sequences"]?.array).map { sequence in
                TrainingSequence(
                    prompt: try #require(sequence["prompt"]?.array).compactMap(\.int),
                    response: try #require(sequence["response"]?.array).compactMap(\.int))
            }
        }

        /// In the order of the numbers in the binary files.
        static func parameterNames() throws -> [String] {
            let folder = fixturesFolder()
            let json = try JSON.parse(Array(Data(contentsOf: folder.appendingPathComponent("sft_step.json"))))
            return try #require(json["parameters"]?.array).compactMap(\.string)
        }
    }

    /// The largest difference between two tensors, relative to the largest magnitude of the second.
    private func relativeError(_ found: some Sequence<Float>, _ expected: [Float]) -> Float {
        let scale = expected.map(abs).max() ?? 0
        let difference = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
        return difference / max(scale, 1e-12)
    }

    @Test(arguments: [LossReduction.token, .sequence], [1_000, 20, 1])
    func lossAndGradientsAgreeWithPyTorch(reduction: LossReduction, microBatchTokens: Int) throws {
        let fixture = try Fixture()
        let gradients = ModelParameters(fixture.parameters.configuration)
        let totals = SFTBatch(fixture.sequences, reduction: reduction)
            .accumulate(Model(fixture.parameters), microBatchTokens: microBatchTokens, into: gradients)
        let expected = try #require(fixture.losses[reduction.rawValue]?.double)
        #expect(abs(totals.loss - expected) < 1e-4 * expected)
        let control = try #require(fixture.losses["control"]?.double)
        #expect(abs(totals.controlLoss - control) < 1e-4 * control)
        for (name, values) in try #require(fixture.gradients[reduction.rawValue]) {
            let error = relativeError(try #require(gradients[name]), values)
            #expect(error < 1e-3, "\(name): \(error)")
        }
    }

    /// What all prompts begin with is computed once if the pairs are computed together; the gradients are the same.
    @Test func pairsThatBeginAlikeShareTheirBeginning() throws {
        let configuration = try ModelConfiguration.wide()
        let model = Model(ModelParameters(configuration, randomSeed: 5))
        let beginning = (0..<24).map { ($0 * 31 + 7) % 500 }
        let prompts = (0..<4).map { pair in
            beginning + (0..<(9 + pair)).map { ($0 * 7919 + pair * 131) % 500 }
        }
        #expect(PackedBatch.sharedPrefix(of: prompts) == 24)
        let sequences = prompts.enumerated().flatMap { pair, prompt in
            [
                TrainingSequence(prompt: prompt, response: (0..<(12 - pair)).map { ($0 * 613 + pair) % 500 }),
                TrainingSequence(prompt: prompt, response: [3, 5 + pair, 9]),
            ]
        }
        func run(microBatchTokens: Int) -> (SFTBatch.Totals, ModelParameters) {
            let gradients = ModelParameters(configuration)
            let totals = SFTBatch(sequences, reduction: .token)
                .accumulate(model, microBatchTokens: microBatchTokens, into: gradients)
            return (totals, gradients)
        }
        let (together, shared) = run(microBatchTokens: 10_000)
        let (apart, separate) = run(microBatchTokens: 1)
        #expect(abs(together.loss - apart.loss) < 1e-6 * apart.loss)
        for parameter in separate.layout {
            let error = relativeError(
                try #require(shared[parameter.name]), Array(try #require(separate[parameter.name])))
            #expect(error < 2e-5, "\(parameter.name): \(error)")
        }
    }
}
