import CheckpointIO
import Testing
import Transformer

@Suite struct MemoryEstimateTests {
    @Test func estimatesGrowWithTheWork() throws {
        let configuration = try ModelConfiguration(
            json: """
                {"model_type": "llama", "hidden_size": 16, "intermediate_size": 22, "num_hidden_layers": 2,
                 "num_attention_heads": 4, "vocab_size": 35}
                """)
        let small = MemoryEstimate.training(configuration, tokens: 100)
        #expect(small > 16 * configuration.parameterCount)
        #expect(MemoryEstimate.training(configuration, tokens: 1000) > small)
        #expect(MemoryEstimate.training(configuration, tokens: 100, recomputesActivations: true) < small)
        #expect(
            MemoryEstimate.generation(configuration, rows: 8, group: 8, promptTokens: 512, newTokens: 64)
                < MemoryEstimate.generation(configuration, rows: 8, promptTokens: 512, newTokens: 64))
    }
}
