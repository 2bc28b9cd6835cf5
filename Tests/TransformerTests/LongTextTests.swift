import CheckpointIO
import Parallel
import Testing
import Transformer

/// Texts whose MLP is computed in several ranges of tokens, and inputs of layers kept in bfloat16.
@Suite struct LongTextTests {
    private let configuration: ModelConfiguration
    private let parameters: ModelParameters
    /// Two texts of more tokens together than one range has.
    private let sequences: [[Int]] = [2700, 1900].enumerated().map { number, count in
        (0..<count).map { Int(CounterRandom.uniform(seed: 3, step: 0, prompt: number, sample: 0, position: $0) * 35) }
    }

    init() throws {
        configuration = try ModelConfiguration(
            json: """
                {"model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
                 "num_attention_heads": 2, "vocab_size": 35, "max_position_embeddings": 4096}
                """)
        parameters = ModelParameters(configuration, randomSeed: 5)
    }

    private func gradients(
        _ sequences: [[Int]], recomputing: Bool = false, _ precision: ActivationPrecision = .fp32
    ) -> (values: ModelParameters, scores: [Float]) {
        let model = Model(parameters)
        model.recomputesActivations = recomputing
        model.activationPrecision = precision
        let gradients = ModelParameters(configuration)
        let scores = model.accumulateGradients(PackedBatch(sequences), nextTokens(sequences), into: gradients) {
            range, _ in ([Float](repeating: -1e-3, count: range.count), [])
        }
        return (gradients, scores.logProbabilities)
    }

    private func expectEqual(_ a: ModelParameters, _ b: ModelParameters, within limit: Float?) throws {
        for parameter in configuration.parameters {
            let (left, right) = (Array(try #require(a[parameter.name])), Array(try #require(b[parameter.name])))
            if let limit {
                #expect(relativeError(left, right) < limit, "\(parameter.name)")
            } else {
                #expect(left == right, "\(parameter.name)")
            }
        }
    }

    @Test func gradientsAreThoseOfTheTextsAlone() throws {
        let both = gradients(sequences)
        let alone = sequences.map { gradients([$0]) }
        let sum = ModelParameters(configuration)
        for part in alone {
            for parameter in configuration.parameters {
                let (target, values) = (try #require(sum[parameter.name]), try #require(part.values[parameter.name]))
                for i in target.indices { target[i] += values[i] }
            }
        }
        try expectEqual(both.values, sum, within: 1e-4)
        #expect(relativeError(both.scores, alone.flatMap(\.scores)) < 1e-5)
    }

    @Test func recomputationHasTheSameBits() throws {
        let kept = gradients(sequences)
        let recomputed = gradients(sequences, recomputing: true)
        #expect(kept.scores == recomputed.scores)
        try expectEqual(kept.values, recomputed.values, within: nil)
    }

    @Test func inputsInBFloat16ChangeOnlyTheGradientsALittle() throws {
        let exact = gradients(sequences, recomputing: true)
        let rounded = gradients(sequences, recomputing: true, .bf16)
        #expect(exact.scores == rounded.scores)
        try expectEqual(exact.values, rounded.values, within: 0.02)
        let name = "model.layers.0.mlp.down_proj.weight"
        #expect(Array(try #require(exact.values[name])) != Array(try #require(rounded.values[name])))
        try expectEqual(rounded.values, gradients(sequences, recomputing: true, .bf16).values, within: nil)
    }
}
