import CheckpointIO
import Foundation
import Testing
import Transformer

@Test func nameOfTheFasterPrecision() throws {
    let fastest = try #require(ProductPrecision(name: "auto"))
    #expect(fastest.isAvailable)
    #expect(ProductPrecision(name: "bf16") == .bf16)
    #expect(ProductPrecision(name: "fast") == nil)
}

/// A model with bfloat16 products, compared with float32.
///
/// `GEMMTests` has tests of the products themselves.
@Suite(.enabled(if: ProductPrecision.bf16.isAvailable)) struct ProductPrecisionTests {
    let parameters: ModelParameters
    let sequences: [[Int]]

    init() throws {
        let configuration = try ModelConfiguration(
            json: """
                {"model_type": "llama", "vocab_size": 500, "hidden_size": 256, "intermediate_size": 640,
                 "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
                 "max_position_embeddings": 512, "tie_word_embeddings": true}
                """)
        parameters = ModelParameters(configuration, randomSeed: 3)
        sequences = (0..<5).map { row in (0..<40).map { ($0 * 7919 + row * 104_729 + $0 * $0 * 31) % 500 } }
    }

    private func run(_ products: ProductPrecision) -> (scores: PositionScores, gradients: ModelParameters) {
        let gradients = ModelParameters(parameters.configuration)
        let scores = Model(parameters, products: products).accumulateGradients(
            PackedBatch(sequences), nextTokens(sequences), into: gradients
        ) { range, _ in ([Float](repeating: -0.01, count: range.count), []) }
        return (scores, gradients)
    }

    @Test func roundingIsAllThatDiffers() {
        let (exact, rounded, again) = (run(.fp32), run(.bf16), run(.bf16))
        let differences = zip(exact.scores.logProbabilities, rounded.scores.logProbabilities).map { abs($0 - $1) }
        #expect(differences.max()! < 0.05)
        // Zero would mean that float32 was used.
        #expect(differences.max()! > 1e-5)
        for parameter in exact.gradients.layout {
            let (a, b) = (exact.gradients[parameter.name]!, rounded.gradients[parameter.name]!)
            let square = zip(a, b).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
            #expect(square.squareRoot() < 0.02 * a.reduce(0) { $0 + Double($1 * $1) }.squareRoot())
        }
        #expect(rounded.scores.logProbabilities == again.scores.logProbabilities)
        #expect(Array(rounded.gradients.values) == Array(again.gradients.values))
    }

    /// Sampled tokens get about the same scores when the finished text is scored, with weights in either precision.
    @Test func samplesScoreAlike() {
        let compact = CompactParameters(rounding: parameters)
        for model in [Model(parameters, products: .bf16), Model(compact, products: .bf16)] {
            let requests = [
                GenerationRequest(prompt: sequences[0], sampleCount: 3), GenerationRequest(prompt: sequences[1]),
            ]
            let completions = Generator(model).generate(requests, SamplingOptions(maximumNewTokens: 24, seed: 5))
            for (request, samples) in zip(requests, completions) {
                for sample in samples {
                    let text = request.prompt + sample.tokens
                    let positions = sample.tokens.indices.map {
                        ScoredPosition(position: request.prompt.count - 1 + $0, target: sample.tokens[$0])
                    }
                    let scores = model.score(PackedBatch([text]), positions)
                    for (one, other) in zip(scores.logProbabilities, sample.logProbabilities) {
                        #expect(abs(one - other) < 0.05)
                    }
                }
            }
        }
    }
}
