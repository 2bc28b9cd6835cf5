import Foundation
import OrderedJSON
import Testing
import Transformer

/// Results against those of transformers and PyTorch in Fixtures.
@Suite struct ReferenceTests {
    @Test(arguments: Fixture.all) func logitsAgree(_ fixture: Fixture) throws {
        let model = Model(try fixture.parameters())
        let batch = PackedBatch(fixture.sequences)
        let logits = model.logits(batch, positions: Array(batch.tokens.indices))
        let error = relativeError(logits.flatMap { $0 }, fixture.lists("logits").flatMap { $0 })
        #expect(error < 1e-4)
    }

    @Test(arguments: Fixture.all) func scoresAgree(_ fixture: Fixture) throws {
        let model = Model(try fixture.parameters())
        let scores = model.score(PackedBatch(fixture.sequences), nextTokens(fixture.sequences))
        #expect(relativeError(scores.logProbabilities, fixture.lists("logProbabilities").flatMap { $0 }) < 1e-5)
        // The fixtures have entropies of all positions, also of the last one, which has no next token.
        let entropies = zip(fixture.lists("entropies"), fixture.sequences).flatMap { $0.prefix(max(0, $1.count - 1)) }
        #expect(relativeError(scores.entropies, entropies) < 1e-5)
    }

    @Test(arguments: Fixture.all.filter { $0.json["gradients"] != nil }, [false, true])
    func gradientsAgree(_ fixture: Fixture, recomputing: Bool) throws {
        let parameters = try fixture.parameters()
        let model = Model(parameters)
        model.recomputesActivations = recomputing
        let positions = nextTokens(fixture.sequences)
        let gradients = ModelParameters(parameters.configuration)
        let scores = model.accumulateGradients(PackedBatch(fixture.sequences), positions, into: gradients) { range, _ in
            ([Float](repeating: -1 / Float(positions.count), count: range.count), [])
        }
        let loss = -scores.logProbabilities.reduce(0, +) / Float(positions.count)
        #expect(abs(Double(loss) - fixture.json["crossEntropy"]!.double!) < 1e-5)
        for (name, reference) in fixture.tensors(fixture.json["gradients"])! {
            let error = relativeError(Array(gradients[name]!), reference)
            #expect(error < 1e-3, "\(name)")
        }
    }

    @Test func mixedLossAtAnotherTemperature() throws {
        let fixture = Fixture.named("llama")
        let parameters = try fixture.parameters()
        let mixed = fixture.json["mixed"]!
        var weights: [Float] = []
        for sequence in fixture.sequences {
            for index in 0..<max(0, sequence.count - 1) {
                let sign: Float = index % 2 == 0 ? 1 : -1
                weights.append(sign / Float(index + 1))
            }
        }
        let gradients = ModelParameters(parameters.configuration)
        Model(parameters).accumulateGradients(
            PackedBatch(fixture.sequences), nextTokens(fixture.sequences),
            temperature: Float(mixed["temperature"]!.double!),
            into: gradients
        ) { range, _ in
            let own = Array(weights[range])
            return (own, own.map { $0 * Float(mixed["entropyWeight"]!.double!) })
        }
        for (name, reference) in fixture.tensors(mixed["gradients"])! {
            #expect(relativeError(Array(gradients[name]!), reference) < 1e-3, "\(name)")
        }
    }

    @Test func adamWAgrees() throws {
        let fixture = Fixture.named("llama")
        let adam = fixture.json["adamW"]!
        let parameters = try fixture.parameters()
        let configuration = parameters.configuration
        let gradients = try ModelParameters(configuration) { description, into in
            _ = into.update(fromContentsOf: fixture.tensors(fixture.json["gradients"])![description.name]!)
        }
        var optimizer = AdamW(
            configuration, beta1: adam["beta1"]!.double!, beta2: adam["beta2"]!.double!,
            epsilon: adam["epsilon"]!.double!, weightDecay: adam["weightDecay"]!.double!)
        for key in ["afterOne", "afterTwo"] {
            optimizer.update(parameters, gradients: gradients, learningRate: Float(adam["learningRate"]!.double!))
            for (name, reference) in fixture.tensors(adam[key])! {
                #expect(relativeError(Array(parameters[name]!), reference) < 1e-5, "\(key) \(name)")
            }
        }
    }

    @Test(arguments: Fixture.all.filter { $0.json["greedy"] != nil }) func greedyAgrees(_ fixture: Fixture) throws {
        let greedy = fixture.json["greedy"]!
        let prompt = greedy["prompt"]!.array!.map { $0.int! }
        let expected = greedy["tokens"]!.array!.map { $0.int! }
        let generator = Generator(try fixture.parameters())
        let completions = generator.generate(
            [GenerationRequest(prompt: prompt)], SamplingOptions(temperature: 0, maximumNewTokens: expected.count))
        #expect(completions[0][0].tokens == expected)
        #expect(completions[0][0].finish == .length)
    }
}
