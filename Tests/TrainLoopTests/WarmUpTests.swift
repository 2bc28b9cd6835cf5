import CheckpointIO
import Testing
import TrainLoop
import Transformer

@Suite struct BatchPlanTests {
    @Test func updatesOfPairs() {
        var plan = BatchPlan(tokens: Array(repeating: 10, count: 7), pairsPerStep: 3, tokensPerStep: nil, seed: 1)
        #expect(plan.steps(epochs: 1) == 3 && plan.steps(epochs: 0.1) == 1 && plan.steps(epochs: 2) == 5)
        let all = (0..<7).flatMap { plan.pairs(of: $0) }
        #expect(all.count == 21 && Set(all[..<7]) == Set(0..<7) && Set(all[7..<14]) == Set(0..<7))
    }

    @Test func updatesOfTokens() {
        let tokens = [5, 30, 10, 10, 10, 40, 5, 20]
        var plan = BatchPlan(tokens: tokens, pairsPerStep: 99, tokensPerStep: 35, seed: 3)
        let steps = plan.steps(epochs: 1)
        var met: [Int] = []
        for step in 0..<steps {
            let pairs = plan.pairs(of: step)
            // A pair that is too long is an update by itself.
            #expect(pairs.count == 1 || pairs.reduce(0) { $0 + tokens[$1] } <= 35)
            met += pairs
        }
        #expect(Set(met) == Set(tokens.indices))
        // A resumed run sees the same updates, wherever it resumes.
        var other = BatchPlan(tokens: tokens, pairsPerStep: 99, tokensPerStep: 35, seed: 3)
        for step in [7, 2, 5] { #expect(other.pairs(of: step) == plan.pairs(of: step)) }
        var tiny = BatchPlan(tokens: [1, 1], pairsPerStep: 1, tokensPerStep: 1000, seed: 0)
        #expect(tiny.pairs(of: 0).count == 2 && tiny.steps(epochs: 3) == 3)
    }
}

@Suite struct ReadinessTests {
    private func forced(_ tokens: Double, _ wellFormed: Double = 1) -> ForcedModeResult {
        ForcedModeResult(tokens: tokens, accuracy: .nan, wellFormed: wellFormed)
    }

    @Test func shortcomingsAreNamed() {
        func shortcomings(
            _ think: Double, _ short: Double, _ long: ForcedModeResult?, _ brief: ForcedModeResult?
        ) -> [String] { Readiness(pThink: think, pShort: short, think: long, short: brief).shortcomings }
        #expect(shortcomings(0.5, 0.48, forced(90), forced(8)).isEmpty)
        #expect(shortcomings(0.5, 0.48, nil, nil).isEmpty)
        #expect(shortcomings(0.95, 0.04, forced(90), forced(8)).map { $0.prefix(10) } == ["P(<short>)"])
        #expect(
            shortcomings(0.4, 0.3, forced(90), forced(8))
                == ["the first token is not a control token in 30 % of answers"])
        #expect(
            shortcomings(0.5, 0.5, forced(10), forced(9))
                == ["forced modes answer alike: 10 tokens after <think>, 9 after <short>"])
        #expect(shortcomings(0.5, 0.5, forced(90, 0.3), forced(8)).count == 1)
        #expect(shortcomings(.nan, .nan, forced(90), forced(8)).isEmpty)
    }
}

@Suite struct TrainedRowTests {
    @Test func onlyTheseRowsChange() throws {
        let configuration = try ModelConfiguration(
            json: """
                {"model_type":"llama","vocab_size":12,"hidden_size":8,"intermediate_size":16,"num_hidden_layers":1,
                "num_attention_heads":2,"num_key_value_heads":2,"rms_norm_eps":1e-6,"max_position_embeddings":64,
                "tie_word_embeddings":false}
                """)
        let parameters = ModelParameters(configuration, randomSeed: 1)
        let before = ModelParameters(copying: parameters)
        let matrices = ["model.embed_tokens.weight", "lm_head.weight"]
        let frozen = Set(configuration.parameters.map(\.name)).subtracting(matrices)
        let trained = TrainedLayout(
            configuration, frozen: frozen, onlyRows: [matrices[0]: [3, 9], matrices[1]: [9]])
        let gradients = ModelParameters(configuration, trained)
        #expect(gradients.values.count == 3 * configuration.hiddenSize)
        gradients.values.update(repeating: 0.5)
        var optimizer = AdamW(configuration, trained, weightDecay: 0.5)
        optimizer.update(
            parameters, gradients: gradients, learningRate: 0.1,
            rowLearningRateScale: [RowScale(name: "lm_head.weight", row: 9, factor: 2)])
        for description in configuration.parameters {
            let (now, then) = (try #require(parameters[description.name]), try #require(before[description.name]))
            let columns = try #require(description.shape.last)
            let rows = Set(zip(now, then).enumerated().filter { $1.0 != $1.1 }.map { $0.offset / columns })
            #expect(rows == (description.name == matrices[0] ? [3, 9] : description.name == matrices[1] ? [9] : []))
        }
    }
}
